"""The kernel families of this repository, registered with greta."""

from __future__ import annotations

from pytest_greta import Kernel


def pytest_greta_kernels() -> list[Kernel]:
    """Attention prefill, a ladder of variants over several axes, and row softmax as the smallest example."""
    from kernels.prefill.prefill import Prefill
    from kernels.softmax.softmax import Softmax

    return [Prefill(), Softmax()]
