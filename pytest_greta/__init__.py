"""pytest-greta: performance gates for GPU kernels, as pytest tests.

The names below are the whole public interface for Python code; options, fixtures and gates are documented in docs/.
"""

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

__all__ = ["Array", "Kernel", "Launch", "Problem", "Variant", "__version__"]
__version__ = "0.1.0"
