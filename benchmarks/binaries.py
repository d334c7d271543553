"""How long it takes to read a library of ten thousand kernels, and the memory that it takes.

    python benchmarks/binaries.py [FILE...]

Without a file it makes one: a template of 500 instantiations, compiled for five targets, bundled, compressed with zstd,
and four such bundles one after the other in the `.hip_fatbin` of a shared library: 10,000 kernels in 20 code objects.

With `--readelf llvm-readelf` the figures of every kernel are held against what that prints of its code object instead.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from pytest_greta.binaries.contents import Contents
from pytest_greta.binaries.kernels import read_code, read_file
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from tests.fuzz.code_objects import bundle
from tests.unit.binary_files import NOTES, compressed, elf, fatbin

TARGETS = ("gfx942", "gfx90a", "gfx1100", "gfx1030", "gfx1201")
INSTANTIATIONS, BUNDLES = 500, 4
SOURCE = """\
#include <hip/hip_runtime.h>

namespace shop {
template <class T, int N, bool Wide>
struct Policy {};

template <class T, int N, class P>
__global__ __launch_bounds__(64 * N) void scale(const T* __restrict__ x, T* __restrict__ y, int n) {
  __shared__ T tile[64 * N];
  tile[threadIdx.x] = x[blockIdx.x * 64 * N + threadIdx.x];
  __syncthreads();
  T sum = 0;
  for (int i = 0; i < N; ++i) sum += tile[(threadIdx.x + i * 17) % (64 * N)] * T(i + NUMBER);
  if (int(threadIdx.x) < n) y[blockIdx.x * 64 * N + threadIdx.x] = sum;
}
}  // namespace shop
"""


def library(folder: Path) -> Path:
    """The library, made in a folder."""
    source = folder / "k.hip"
    kernels = [
        f"template __global__ void shop::scale<{kind}, {1 + n % 8}, shop::Policy<{kind}, {n}, {wide}>>"
        f"(const {kind}*, {kind}*, int);"
        for n in range(INSTANTIATIONS // 4)
        for kind in ("float", "int")
        for wide in ("true", "false")
    ]
    source.write_text("\n".join([SOURCE, *kernels]))
    compiler = Compiler(folder / "cache")
    packed = []
    for number in range(BUNDLES):
        jobs = {target: Job(source, target, (("NUMBER", str(number)),)) for target in TARGETS}
        compiler.submit(jobs.values())
        codes = {target.encode(): compiler.compile(job).code for target, job in jobs.items()}
        packed.append(compressed(bundle(codes), 3, "zstd"))
    compiler.close()
    path = folder / "libshop.so"
    path.write_bytes(elf({b".hip_fatbin": fatbin(packed)}))
    return path


def hold_against(readelf: str, path: Path) -> None:
    """Every figure of every kernel of a file, here and by llvm-readelf."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    kernels, differing = 0, []
    with tempfile.NamedTemporaryFile() as file:
        for held in Contents(path, path.name).code_objects():
            Path(file.name).write_bytes(held.code)
            command = [readelf, "--notes", file.name]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            document = yaml.load(printed.partition("---\n")[2].partition("\n...")[0], Loader=loader)
            stated = {kernel[".name"]: kernel for kernel in document["amdhsa.kernels"]}
            found = read_code({held.label: held.code}, path.name).kernels
            kernels += len(found)
            differing += [one.symbol for one in found if one.symbol not in stated]
            differing += [
                f"{one.symbol}: {gate}"
                for one in found
                for gate, key in NOTES.items()
                if one.value(gate) != stated.get(one.symbol, {}).get(key, 0)
            ]
    print(f"{path.name}: {kernels} kernels, {len(differing)} figures differ: {differing[:5]}")


def main() -> None:
    """Measure each file in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--readelf", default="", help="the llvm-readelf to hold figures against")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        started = time.perf_counter()
        (path,) = options.files
        found = read_file(path, path.name)
        seconds = time.perf_counter() - started
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        targets = len({kernel.target for kernel in found.kernels})
        size = path.stat().st_size / 1e6
        print(
            f"{path.name}: {size:.1f} MB, {len(found.kernels)} kernels for {targets} targets: "
            f"{seconds:.2f} s, {megabytes:.0f} MB at most"
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files or [library(Path(folder))]:
            if options.readelf:
                hold_against(options.readelf, path)
            else:
                subprocess.run([sys.executable, __file__, "--one", str(path)], check=True)


if __name__ == "__main__":
    main()
