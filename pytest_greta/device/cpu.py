"""The cpu device: HIP source as SPIR-V on a CPU's OpenCL runtime. The only importer of pyopencl.

The runtime is Intel's (it runs on AMD CPUs too), from the wheels of the extra `cpu`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.spirv import SETTER
from pytest_greta.compiler.toolchain import CPU_TARGET
from pytest_greta.device import BoundLaunch, DeviceInfo, Range, Work, cpu_cores
from pytest_greta.device.cpu_near import count_beyond
from pytest_greta.device.cpu_own import SOURCE, OwnKernels
from pytest_greta.device.protocol import DIGEST_BYTES, Launched
from pytest_greta.errors import DeviceFault, DeviceUnavailable
from pytest_greta.kernel import Value
from pytest_greta.remedies import extra_text, install_extra

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray


_FEW_BYTES = 1 << 15
"""The digest of so many is BLAKE2: done before a kernel has begun."""


def open_cpu(cache: CodeCache) -> CpuDevice:
    """Open the CPU through OpenCL. Raises DeviceUnavailable, saying what is missing.

    `cache` keeps what the runtime made of SPIR-V: for a large kernel that takes it ten seconds.
    """
    library = _find_runtime()
    with tempfile.TemporaryDirectory(prefix="greta-icd-") as folder:
        # The wheel's own .icd file holds a placeholder path, so the loader is given one that names the library.
        Path(folder, "cpu.icd").write_text(f"{library}\n")
        os.environ["OCL_ICD_VENDORS"] = folder
        # pyopencl keeps caches of its own in the user's home, which need not be writable.
        os.environ["XDG_CACHE_HOME"] = str(cache.folder)
        try:
            import pyopencl
        except ImportError as error:
            raise _lacks(f"the cpu device needs pyopencl ({error})") from error
        try:
            devices = [d for p in pyopencl.get_platforms() for d in p.get_devices()]
        except pyopencl.Error as error:
            raise DeviceUnavailable(f"OpenCL finds no CPU through {library}: {error}") from error
    usable = [
        d for d in devices if int(d.type) & int(pyopencl.device_type.CPU) and "SPIR-V" in str(d.il_version)
    ]
    if not usable:
        raise DeviceUnavailable(f"no OpenCL device that takes SPIR-V was found through {library}")
    return CpuDevice(pyopencl, usable[0], cache)


def _find_runtime() -> Path:
    for distribution in ("intel-opencl-rt", "intel-cmplr-lib-rt"):
        try:
            files = importlib.metadata.distribution(distribution).files or []
        except importlib.metadata.PackageNotFoundError:
            raise _lacks(f"the cpu device needs {distribution}") from None
        for file in files:
            if file.name == "libintelocl.so":
                return Path(str(file.locate())).resolve()
    raise _lacks("intel-opencl-rt is installed without libintelocl.so")


def _lacks(what: str) -> DeviceUnavailable:
    return DeviceUnavailable(f"{what}; {extra_text('cpu')}", install_extra("cpu"))


class _Checked:
    """Turns pyopencl's exceptions into DeviceFault, naming what was being done."""

    def __init__(self, cl: Any, what: str) -> None:
        self.cl, self.what = cl, what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, self.cl.Error):
            raise DeviceFault(f"{self.what}: {str(error).strip()}") from error


class CpuDevice:
    """A CPU as a `Device` (see `pytest_greta.device`)."""

    def __init__(self, cl: Any, device: Any, cache: CodeCache) -> None:
        self._cl = cl
        self._cache = cache
        self._device = device
        one_core = device
        if device.max_compute_units > 1:
            (one_core, *_) = device.create_sub_devices([cl.device_partition_property.EQUALLY, 1])
        self._context = cl.Context([device] if one_core is device else [device, one_core])
        profiling = cl.command_queue_properties.PROFILING_ENABLE
        self._queue = self._of_all = cl.CommandQueue(self._context, device, profiling)
        self._of_one = cl.CommandQueue(self._context, one_core, profiling)
        self._cores = os.sched_getaffinity(0)
        self._expected: list[bytes] = []
        self._results: list[Launched] = []
        self._taken, self._is_kept = 0, False
        self.info = DeviceInfo(
            kind="cpu",
            name=cpu_cores.cpu_name() or device.name,
            target=CPU_TARGET,
            compute_units=device.max_compute_units,
            wave_size=64,
            memory_bytes=device.global_mem_size,
            cache_bytes=cpu_cores.last_level_cache_bytes(),
            driver=device.driver_version,
            runtime=f"{device.platform.name} {device.driver_version}",
        )

    def compile(self, source: str, name: str, options: Sequence[str]) -> bytes:
        """The cpu device has no compiler of HIP: clang makes its SPIR-V."""
        raise NotImplementedError

    def load(self, code: bytes) -> Any:
        """Build a SPIR-V module for this CPU, or take what was built of it before, here or in another process."""
        self._take(one_core=False)
        return self._built_of(code)

    def _built_of(self, code: bytes | str) -> Any:
        """The program of a SPIR-V module, or of OpenCL C as text."""
        cl = self._cl
        request = self.binary_request(code)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)  # the build log, which holds no error
            program = self._built(request)
            if program is not None:
                return program
            with self._cache.lock(request), _Checked(cl, "the CPU runtime cannot build the SPIR-V module"):
                program = self._built(request)  # another process may have made it while this one waited
                if program is None:
                    program = cl.Program(self._context, code).build(devices=[self._device])
                    self._cache.store(request, {}, {}, program.get_info(cl.program_info.BINARIES)[0])
                return program

    def _built(self, request: str) -> Any:
        """The program that was built before, if there is one that this runtime takes; else None."""
        binary = self._cache.lookup(request)
        if binary is not None:
            with contextlib.suppress(self._cl.Error):  # not this runtime's after all: build it anew
                program = self._cl.Program(self._context, [self._device], [binary])
                return program.build(devices=[self._device])
        return None

    def binary_request(self, code: bytes | str) -> str:
        """What the cache keeps the binary of a SPIR-V module under."""
        of_code = hashlib.sha256(code.encode() if isinstance(code, str) else code)
        return repr((self.info.name, self.info.runtime, of_code.hexdigest()))

    def set_variable(self, module: Any, symbol: str, data: memoryview) -> None:
        """Fill a variable by the kernel that the compiler added for it."""
        setter = self.function(module, f"{SETTER}{data.nbytes}_{symbol}")
        with _Checked(self._cl, f"filling {symbol}"):
            flags = self._cl.mem_flags.READ_ONLY | self._cl.mem_flags.COPY_HOST_PTR
            buffer = self._cl.Buffer(self._context, flags, hostbuf=data)
            setter.set_args(buffer)  # which keeps nothing alive
            self._cl.enqueue_nd_range_kernel(self._queue, setter, (data.nbytes,), None).wait()
            buffer.release()

    def function(self, module: Any, entry: str) -> Any:
        """Look up a kernel by name."""
        with _Checked(self._cl, f"looking for the kernel {entry!r}"):
            all_names = module.get_info(self._cl.program_info.KERNEL_NAMES).split(";")
        names = [name for name in all_names if not name.startswith(SETTER)]
        with _Checked(
            self._cl, f'no kernel named {entry!r} (extern "C" __global__); there is {", ".join(names)}'
        ):
            return self._cl.Kernel(module, entry)

    def function_name(self, function: Any) -> str:
        """The name OpenCL gives for a kernel."""
        return str(function.function_name)

    def function_attributes(self, function: Any) -> dict[str, int]:
        """A CPU has no registers or scratch in a GPU's sense."""
        return {}

    def unload(self, module: Any) -> None:
        """Nothing to do: OpenCL frees a program with its last reference."""

    def allocate(self, size_bytes: int) -> Any:
        """Allocate a read-write buffer."""
        with _Checked(self._cl, f"allocating {size_bytes} bytes"):
            return self._cl.Buffer(self._context, self._cl.mem_flags.READ_WRITE, size=max(size_bytes, 1))

    def free(self, buffer: Any) -> None:
        """Release a buffer."""
        buffer.release()

    def memory_used_bytes(self) -> int | None:
        """The machine's memory is no limit of the device."""
        return None

    def fill(self, buffer: Any, byte: int, offset_bytes: int, size_bytes: int) -> None:
        """Set a range of a buffer to one repeated byte."""
        with _Checked(self._cl, "filling a buffer"):
            pattern = np.uint8(byte)
            self._cl.enqueue_fill_buffer(self._queue, buffer, pattern, offset_bytes, size_bytes).wait()

    def write(self, buffer: Any, offset_bytes: int, data: memoryview) -> None:
        """Copy host memory into a buffer."""
        with _Checked(self._cl, "writing a buffer"):
            self._cl.enqueue_copy(self._queue, buffer, data, dst_offset=offset_bytes)

    def copy(
        self, source: Any, source_offset_bytes: int, into: Any, offset_bytes: int, size_bytes: int
    ) -> None:
        """Copy a range of a buffer into another buffer, or to another place of the same one."""
        with _Checked(self._cl, "copying a buffer"):
            self._cl.enqueue_copy(
                self._queue,
                into,
                source,
                byte_count=size_bytes,
                src_offset=source_offset_bytes,
                dst_offset=offset_bytes,
            ).wait()

    def read(self, buffer: Any, offset_bytes: int, into: memoryview) -> None:
        """Copy a range of a buffer into host memory."""
        with _Checked(self._cl, "reading a buffer"):
            self._cl.enqueue_copy(self._queue, into, buffer, src_offset=offset_bytes)

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """BLAKE2 of each range, in place; of a large one, of the sums that a kernel finds and what fills no word."""
        found = []
        for buffer, offset, size in ranges:
            words = size // 8 if size > _FEW_BYTES and offset % 8 == 0 else 0
            digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
            if words:
                with _Checked(self._cl, "reading a buffer"):
                    digest.update(self._own.sums(self._queue, buffer, offset, words).data)
            if size > 8 * words:
                with self._mapped((buffer, offset + 8 * words, size - 8 * words)) as (mapped,):
                    digest.update(mapped.data)
            found.append(digest.digest() if size else b"")
        return found

    @functools.cached_property
    def _own(self) -> OwnKernels:
        """Kernels of greta's own, with the memory that flushing reads: at the first need."""
        return OwnKernels(self._cl, self._context, self._built_of(SOURCE), self.info.cache_bytes)

    @contextlib.contextmanager
    def _mapped(self, *ranges: Range) -> Iterator[list[NDArray[np.uint8]]]:
        """The bytes of ranges, in place, to be read."""
        flags = self._cl.map_flags.READ
        with _Checked(self._cl, "reading a buffer"):
            mapped = [
                self._cl.enqueue_map_buffer(self._queue, buffer, flags, offset, (size,), np.uint8)[0]
                for buffer, offset, size in ranges
            ]
            yield mapped
            for one in mapped:
                one.base.release(self._queue)

    def flush_caches(self) -> None:
        """Read through as many bytes of the last-level cache as the cores that launches run on have a share in."""
        size = self.info.cache_bytes
        if self._queue is self._of_one:
            size = min(size, cpu_cores.CACHE_BYTES_A_CORE)
        with _Checked(self._cl, "flushing the caches"):
            self._own.read_through(self._queue, size)

    def begin(self, expected: Sequence[bytes], outputs: int, one_core: bool = False) -> None:
        """Begin a batch: launches, what their outputs should have for digests, and the cores they run on."""
        self._take(one_core)
        self._expected, self._results = list(expected), []
        self._taken, self._is_kept = 0, False

    def _take(self, one_core: bool) -> None:
        """Run on one core from here on, or on all. This process stays there, and threads of others go elsewhere."""
        queue = self._of_one if one_core else self._of_all
        if queue is not self._queue:
            self._queue = queue
            cpu_cores.run_on({cpu_cores.current_core()} if one_core else self._cores)

    def held(self) -> AbstractContextManager[None]:
        """Nothing waits here: the host is the device."""
        return contextlib.nullcontext()

    def enqueue(self, work: Work) -> None:
        """Run launches in order; seconds by OpenCL's profiling events."""
        for _ in range(work.untimed):
            self._launch(work.launches)
        seconds = sum(self._launch(work.launches) for _ in range(work.count)) / work.count
        found = self.digests(work.outputs)
        expected = self._expected[len(self._results)]
        is_other = bool(expected) and b"".join(found) != expected
        is_near = is_other and self._is_near(work, found, expected)
        copies = zip(work.outputs, work.spare, strict=True)
        is_kept = is_other and not is_near and not self._is_kept
        for (buffer, offset, size), (into, at, _) in copies if is_kept else ():
            self.copy(buffer, offset, into, at, size)
        self._is_kept |= is_kept
        self._results.append(Launched(seconds, b"".join(found), is_kept, is_near))

    def _is_near(self, work: Work, digests: Sequence[bytes], expected: bytes) -> bool:
        """Whether all outputs that have not their digest are near enough."""
        if not work.near:
            return False
        known = iter(expected[i : i + DIGEST_BYTES] for i in range(0, len(expected), DIGEST_BYTES))
        for output, one, digest in zip(work.outputs, work.near, digests, strict=True):
            if not digest or digest == next(known):
                continue
            if one is None:
                return False
            with self._mapped(output, one.first, one.allowed) as (ours, first, allowed):
                if count_beyond(ours, first, allowed, one):
                    return False
        return True

    def result(self) -> Launched:
        """What the next launch came to."""
        self._taken += 1
        return self._results[self._taken - 1]

    def _launch(self, launches: Sequence[BoundLaunch]) -> float:
        """Run launches, and wait for them. Seconds between their events; on one core no more than the processor time of
        this process meanwhile, which has the host's part in it, but nothing of what others did in their turns.
        """
        events = []
        began = time.process_time()
        with _Checked(self._cl, "launching"):
            for launch in launches:
                arguments = [self._argument(a) for a in launch.args]  # alive until the launch
                self._set_arguments(launch.function, arguments)
                threads = launch.block[0] * launch.block[1] * launch.block[2]  # as one axis: see Job.block
                total = (launch.grid[0] * threads, *launch.grid[1:])
                events.append(
                    self._cl.enqueue_nd_range_kernel(self._queue, launch.function, total, (threads, 1, 1))
                )
            events[-1].wait()
            worked = time.process_time() - began
            seconds = float(events[-1].profile.end - events[0].profile.start) * 1e-9
            return min(seconds, worked) if self._queue is self._of_one else seconds

    def close(self) -> None:
        """Finish the queue; OpenCL frees the rest with its references."""
        self._queue.finish()

    def _set_arguments(self, function: Any, arguments: Sequence[Any]) -> None:
        name, takes = function.function_name, function.num_args
        if len(arguments) != takes:
            raise DeviceFault(f"{name} takes {takes} arguments, and {len(arguments)} are passed")
        for number, argument in enumerate(arguments, 1):
            with _Checked(self._cl, f"argument {number} of {name} is of another size"):
                function.set_arg(number - 1, argument)

    def _argument(self, argument: tuple[Any, int] | Value) -> Any:
        if isinstance(argument, tuple):
            buffer, offset_bytes = argument
            return buffer.get_sub_region(offset_bytes, buffer.size - offset_bytes) if offset_bytes else buffer
        return argument if argument.dtype.kind in "biuf" and not argument.ndim else argument.tobytes()
