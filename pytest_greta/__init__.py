"""pytest-greta: performance gates for GPU kernels, as pytest tests.

The names below are the whole public interface for Python code. Options, fixtures and gates: see docs/.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

__all__ = ["Array", "Kernel", "Launch", "Problem", "Variant", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the interface when it is used: every pytest session imports this package, few use it."""
    if name in __all__:
        from pytest_greta import kernel

        return getattr(kernel, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
