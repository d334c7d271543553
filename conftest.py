"""The kernel families of this repository, registered with greta."""

from __future__ import annotations

from pytest_greta import Kernel


def pytest_greta_kernels() -> list[Kernel]:
    """Attention prefill in all its variants and forms, and row softmax as the smallest example."""
    from kernels.prefill.prefill import Prefill, PrefillBf16, PrefillD64, PrefillGqa, PrefillShard
    from kernels.softmax.softmax import Softmax

    return [Prefill(), PrefillD64(), PrefillGqa(), PrefillBf16(), PrefillShard(), Softmax()]
