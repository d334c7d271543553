"""Compile one `.hip` source for one target, through a cache, on as many cores as there are.

Code for AMD targets comes from ROCm's clang where ROCm is installed, else from the clang in the `ziglang` wheel
with greta's own HIP header. Code for the cpu device (`spirv64`) always comes from the latter.
Optimised IR is never put through the optimiser again: that gives other registers than one compile does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from pytest_greta.compiler import clang, directives, includes, spirv
from pytest_greta.compiler import inputs as inputs_module
from pytest_greta.compiler import toolchain as toolchain_module
from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.clang import FOR_HIPRTC, Job, preprocess_for_hiprtc, reading, run_compiler
from pytest_greta.compiler.codeobject import CodeObject, read_resources
from pytest_greta.compiler.inputs import inputs, local_files
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError


class Compiler:
    """Compiles jobs in the background; the second request for a job shares the first one's result."""

    def __init__(
        self, cache_folder: Path, workers: int | None = None, cache_bytes: int | None = None
    ) -> None:
        self.cache = CodeCache(cache_folder, cache_bytes)
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="greta-compile")
        self._results: dict[Job, Future[CodeObject]] = {}

    def submit(self, jobs: Iterable[Job]) -> None:
        """Start compiling in the background."""
        for job in jobs:
            if job not in self._results:
                self._results[job] = self._pool.submit(self._compile, job)

    def compile(self, job: Job) -> CodeObject:
        """The code object of `job`.

        Raises CompileError with the compiler's message, or ToolMissing when no compiler is installed.
        """
        self.submit([job])
        return self._results[job].result()

    def hiprtc_notes(self, job: Job) -> tuple[str, ...]:
        """A line for each file of a job that includes what hiprtc has not. Preprocessed as hiprtc would, and cached."""
        files = local_files(job.source, job.include)
        if not includes.mentions_library(files):
            return ()
        toolchain = find_toolchain(job.target)
        request = repr((toolchain.identity, toolchain.flags, recipe(), job, "includes for hiprtc"))
        listing = self.cache.lookup(request)
        if listing is None:
            read = reading(toolchain, job, *FOR_HIPRTC)
            before = inputs(read)
            try:
                text, read_files = preprocess_for_hiprtc(toolchain, job)
            except CompileError:  # it has a part for hiprtc, which only hiprtc understands
                return ()
            listing = json.dumps(includes.library_includes(text, files)).encode()
            self.cache.store(request, before, inputs(read and replace(read, files=read_files)), listing)
        return includes.notes(json.loads(listing))

    def settle(self) -> None:
        """Wait until nothing compiles any more, so that a measurement has the cores to itself."""
        for result in self._results.values():
            result.exception()

    def close(self) -> None:
        """Drop what has not started; running compilers are waited for."""
        self._pool.shutdown(cancel_futures=True)

    def _compile(self, job: Job) -> CodeObject:
        toolchain = find_toolchain(job.target)
        request = repr((toolchain.identity, toolchain.flags, recipe(), job))
        code = self.cache.lookup(request)
        cached = True
        if code is None:
            with self.cache.lock(request):
                code = self.cache.lookup(request)  # another run may have made it while this one waited
                if code is None:
                    cached = False
                    read = reading(toolchain, job)
                    before = inputs(read)
                    code, files = run_compiler(toolchain, job)
                    self.cache.store(request, before, inputs(read and replace(read, files=files)), code)
        kernels = {} if job.target == CPU_TARGET else read_resources(code)
        return CodeObject(job.target, code, kernels, cached)


@cache
def recipe() -> str:
    """Changes whenever the way from source to code does: code that another release of greta made is not taken."""
    parts = (clang, spirv, toolchain_module, directives, inputs_module, includes)
    return hashlib.sha256(b"".join(Path(str(part.__file__)).read_bytes() for part in parts)).hexdigest()
