"""What the gate `unwaited_barriers` costs: `python benchmarks/barriers.py [SOURCE.hip ...]`, no GPU.

Every kernel of the sources (by default those of kernels/) is compiled for three targets. Printed for each: bytes of
machine code, milliseconds to decode it (which the gate `mfma` needs as well), the milliseconds that the gate adds, and
what it found.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pytest_greta.compiler.barriers import unwaited_barriers
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.codeobject import machine_code
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.instructions import decoded

REPOSITORY = Path(__file__).resolve().parents[1]
TARGETS = ("gfx942", "gfx1100", "gfx1201")
REPEATS = 9


def milliseconds(work: Callable[[], object], prepare: Callable[[], object]) -> float:
    """Median wall time of `work`, each time after `prepare`."""
    taken = []
    for _ in range(REPEATS):
        prepare()
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) * 1e3


def main() -> None:
    """Compile, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*", type=Path, default=sorted(REPOSITORY.glob("kernels/*/*.hip")))
    sources = parser.parse_args().sources
    print(f"{'kernel':24}{'target':10}{'bytes':>8}{'decode ms':>12}{'gate ms':>10}{'found':>8}")
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(Path(folder))
        for source in sources:
            for target in TARGETS:
                for name, code in machine_code(compiler.compile(Job(source.resolve(), target)).code).items():
                    decode = partial(decoded, code, target)
                    decode_ms = milliseconds(decode, decoded.cache_clear)
                    gate_ms = milliseconds(partial(unwaited_barriers, code, target), decode)
                    found = len(unwaited_barriers(code, target) or ())
                    print(
                        f"{name:24}{target:10}{len(code):8}{decode_ms:12.1f}{gate_ms:10.1f}{found:8}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
