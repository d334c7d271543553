"""The hip device: HIP sources compiled with hiprtc and launched with the HIP module API, through hip-python.

hip_bindings.py imports hip-python, hiprtc.py compiles, hip_queue.py launches.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pytest_greta.compiler.cache import CodeCache
from pytest_greta.device import Device, DeviceInfo, Range, Work, hip_identity, hip_missing
from pytest_greta.device.hip_bindings import Bindings, HipError, call, import_bindings, properties_of, text
from pytest_greta.device.hip_handles import Buffer, Function, Module
from pytest_greta.device.hip_own import OWN_KERNELS
from pytest_greta.device.hip_queue import Queue
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.device.protocol import Launched
from pytest_greta.errors import CompileError, DeviceFault, DeviceUnavailable

_OWN_SOURCE = Path(__file__).with_name("queue.hip")


def open_hip(index: int = 0, cache: CodeCache | None = None) -> Device:
    """Open the HIP device `index` (counted among the visible ones). `cache` keeps the code of greta's own kernels.

    Raises DeviceUnavailable with one line that says what is missing and what to do.
    """
    bindings = import_bindings()
    with _explained(bindings, index):
        count = _count(bindings)
        if not 0 <= index < count:
            raise DeviceUnavailable(f"no HIP device {index}: there are {count}, counted from 0")
        return HipDevice(bindings, index, cache)


def hip_addresses() -> list[str]:
    """The PCI addresses of the HIP devices that are visible, in their order. None is opened.

    Raises DeviceUnavailable as `open_hip` does.
    """
    bindings = import_bindings()
    with _explained(bindings, 0):
        return [_pci_address(properties_of(bindings, index)) for index in range(_count(bindings))]


def _count(bindings: Bindings) -> int:
    """How many devices there are. Raises DeviceUnavailable where there is none."""
    try:
        count = int(call(bindings.hip.hipGetDeviceCount))
    except HipError as error:
        if error.name != "hipErrorNoDevice":
            raise
        count = 0
    call(bindings.hiprtc.hiprtcVersion)  # loads libhiprtc: every launch needs a compiled source
    if count == 0:
        lack = hip_missing.no_device_lack(os.environ)
        raise DeviceUnavailable(f"no HIP device: {lack}", lack.command)
    return count


@contextlib.contextmanager
def _explained(bindings: Bindings, index: int) -> Iterator[None]:
    """What goes wrong inside as DeviceUnavailable, with one line that says what is missing."""
    try:
        yield
    except CompileError as error:
        first = str(error).splitlines()[0]
        raise DeviceUnavailable(
            f"HIP device {index} does not open: its compiler refuses greta's own kernels: {first}"
        ) from error
    except RuntimeError as error:
        lack = hip_missing.library_lack(error, bindings.version, bindings.namespaced, os.environ)
        raise DeviceUnavailable(lack.text, lack.command) from error
    except HipError as error:
        hint = "; its memory is taken by other processes" if error.name == "hipErrorOutOfMemory" else ""
        raise DeviceUnavailable(f"HIP device {index} does not open: {error}{hint}") from error


class HipDevice:
    """One GPU. See `Device` for the methods."""

    def __init__(self, bindings: Bindings, index: int, cache: CodeCache | None) -> None:
        self._hip, self._hiprtc = bindings.hip, bindings.hiprtc
        self._modules: set[Module] = set()
        self._buffers: dict[int, Buffer] = {}
        self._queue: Queue | None = None
        self._flush: Buffer | None = None
        self._cache = cache
        try:
            call(self._hip.hipSetDevice, index, about=f"device {index}")
            self.info = _info(bindings, index)
            self._queue = Queue(self._hip, self.info.compute_units, self.allocate, self._own_kernels)
            if not self.info.emulated:
                clock_seconds, empty_seconds = self._queue.clock()
                self.info = replace(self.info, clock_seconds=clock_seconds, empty_seconds=empty_seconds)
        except BaseException:
            self.close()
            raise

    # -- code -----------------------------------------------------------------------------------------------

    def compile(self, source: str, name: str, options: Sequence[str]) -> bytes:
        """Compile with hiprtc, for this device's own architecture unless `options` name another."""
        rtc = self._hiprtc
        flags = list(options)
        if not any(o.startswith(("--offload-arch", "--gpu-architecture")) for o in flags):
            flags.insert(0, f"--offload-arch={self.info.target}")
        return compile_source(rtc, source, name, flags)

    def load(self, code: bytes) -> Module:
        """Load a code object. Code for another architecture is `hipErrorNoBinaryForGpu`."""
        handle = call(self._hip.hipModuleLoadData, code, about=f"code object of {len(code)} bytes")
        module = Module(handle, code)
        self._modules.add(module)
        return module

    def set_variable(self, module: Module, symbol: str, data: memoryview) -> None:
        """Fill a variable; `hipErrorNotFound` if the module has none of that symbol."""
        address, size_bytes = call(self._hip.hipModuleGetGlobal, module.handle, symbol.encode(), about=symbol)
        if int(size_bytes) != data.nbytes:
            raise DeviceFault(f"{symbol} holds {int(size_bytes)} bytes, not {data.nbytes}")
        host = np.frombuffer(data, np.uint8).ctypes.data
        call(self._hip.hipMemcpyHtoD, address, host, data.nbytes, about=symbol)

    def function(self, module: Module, entry: str) -> Function:
        """Look up a `__global__` function; `hipErrorNotFound` if the module has none of that name."""
        handle = call(self._hip.hipModuleGetFunction, module.handle, entry.encode(), about=entry)
        return Function(handle, entry)

    def function_name(self, function: Function) -> str:
        """The runtime's own name for a function."""
        return str(call(self._hip.hipKernelNameRef, function.handle))

    def function_attributes(self, function: Function) -> dict[str, int]:
        """What the runtime says of a function: registers a thread, scratch bytes a thread, static LDS bytes
        a block, and the largest block it can be launched with.
        """
        names = self._hip.hipFunction_attribute
        return {
            key: call(self._hip.hipFuncGetAttribute, attribute, function.handle, about=function.entry)
            for key, attribute in {
                "vgprs": names.HIP_FUNC_ATTRIBUTE_NUM_REGS,
                "scratch_bytes": names.HIP_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES,
                "lds_bytes": names.HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES,
                "max_threads": names.HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
            }.items()
        }

    def unload(self, module: Module) -> None:
        """Free a module and its functions."""
        self._modules.discard(module)
        self.queue.forget()
        call(self._hip.hipModuleUnload, module.handle)

    # -- memory ---------------------------------------------------------------------------------------------

    def allocate(self, size_bytes: int) -> Buffer:
        """Allocate device memory; `hipErrorOutOfMemory` says how much is free."""
        about = f"{size_bytes} bytes"
        try:
            # The runtime gives no address for zero bytes.
            pointer = call(self._hip.hipMalloc, max(size_bytes, 1), about=about)
        except HipError as error:
            if error.name != "hipErrorOutOfMemory":
                raise
            free, total = call(self._hip.hipMemGetInfo)
            about = f"{size_bytes} bytes; {free} of {total} bytes are free on the device"
            raise HipError(error.name, error.text, error.call, about) from None
        buffer = Buffer(int(pointer), size_bytes)
        self._buffers[buffer.address] = buffer
        return buffer

    def free(self, buffer: Buffer) -> None:
        """Free a buffer. A buffer that is free already is left alone."""
        if self._buffers.pop(buffer.address, None):
            self.queue.forget()
            call(self._hip.hipFree, buffer.address, about=f"{buffer.size_bytes} bytes")

    def memory_used_bytes(self) -> int:
        """Bytes of device memory in use by all processes, as the runtime tells."""
        free, total = call(self._hip.hipMemGetInfo)
        return int(total) - int(free)

    def fill(self, buffer: Buffer, byte: int, offset_bytes: int, size_bytes: int) -> None:
        """Queue setting a range of a buffer to one repeated byte; ValueError if it is not inside."""
        address = buffer.at(offset_bytes, size_bytes)
        if size_bytes:
            about = f"{size_bytes} bytes"
            call(self._hip.hipMemsetD8Async, address, byte, size_bytes, self.queue.stream, about=about)

    def write(self, buffer: Buffer, offset_bytes: int, data: memoryview) -> None:
        """Copy contiguous host memory into a buffer; ValueError if the range is not inside."""
        address = buffer.at(offset_bytes, data.nbytes)
        if data.nbytes:
            host = np.frombuffer(data, np.uint8).ctypes.data
            self.queue.synchronize("before a write")
            call(self._hip.hipMemcpyHtoD, address, host, data.nbytes, about=f"{data.nbytes} bytes")
            # A copy from pageable memory may return while the device still reads its staging buffer.
            call(self._hip.hipDeviceSynchronize)

    def copy(
        self, source: Buffer, source_offset_bytes: int, into: Buffer, offset_bytes: int, size_bytes: int
    ) -> None:
        """Queue copying a range of a buffer to another one, or to another place of it; ValueError if not inside."""
        start = source.at(source_offset_bytes, size_bytes)
        address = into.at(offset_bytes, size_bytes)
        if size_bytes:
            about = f"{size_bytes} bytes"
            call(self._hip.hipMemcpyDtoDAsync, address, start, size_bytes, self.queue.stream, about=about)

    def read(self, buffer: Buffer, offset_bytes: int, into: memoryview) -> None:
        """Copy a range of a buffer into contiguous host memory; ValueError if it is not inside."""
        address = buffer.at(offset_bytes, into.nbytes)
        if into.readonly:
            raise ValueError("cannot read into read-only memory")
        if into.nbytes:
            host = np.frombuffer(into, np.uint8).ctypes.data
            self.queue.synchronize("before a read")
            call(self._hip.hipMemcpyDtoH, host, address, into.nbytes, about=f"{into.nbytes} bytes")

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """The sums that `queue.hip` computes, queued on the stream behind what was launched."""
        return self.queue.digests(ranges)

    def flush_caches(self) -> None:
        """Queue reading a buffer that is larger than the L2 and the Infinity Cache together."""
        if self._flush is None and self.info.cache_bytes:
            self._flush = self.allocate(self.info.cache_bytes)
            self.fill(self._flush, 0, 0, self._flush.size_bytes)
        if self._flush is not None:
            self.queue.read_through(self._flush)

    # -- running --------------------------------------------------------------------------------------------

    @property
    def queue(self) -> Queue:
        """Its stream."""
        assert self._queue is not None, "the device is closed"
        return self._queue

    def begin(self, expected: Sequence[bytes], outputs: int, one_core: bool = False) -> None:
        """Begin a batch, see `Queue.begin`."""
        self.queue.begin(expected, outputs)

    def held(self) -> AbstractContextManager[None]:
        """What is queued inside runs when all of it is queued; at once on an emulated GPU, which has no times."""
        return contextlib.nullcontext() if self.info.emulated else self.queue.held()

    def enqueue(self, work: Work) -> None:
        """Queue launches, see `Queue.enqueue`."""
        self.queue.enqueue(work)

    def result(self) -> Launched:
        """Wait for the next launch, see `Queue.result`."""
        return self.queue.result()

    def _own_kernels(self) -> dict[str, Function]:
        """Compile greta's own kernels, or take them from the cache."""
        source = _OWN_SOURCE.read_text()
        about = self.info.target, self.info.runtime, self.info.compiles_with
        request = repr(("own", source, *about))
        with self._cache.lock(request) if self._cache else contextlib.nullcontext():
            code = self._cache.lookup(request) if self._cache else None
            if code is None:
                code = self.compile(source, _OWN_SOURCE.name, ["-O3"])
                if self._cache:
                    self._cache.store(request, {}, {}, code)
        module = self.load(code)
        return {name: self.function(module, name) for name in OWN_KERNELS}

    def close(self) -> None:
        """Free everything; errors are ignored, for after a fault every call fails."""
        hip = self._hip
        freeing: list[tuple[Any, Any]] = self._queue.close() if self._queue else []
        freeing += [(hip.hipModuleUnload, m.handle) for m in self._modules]
        freeing += [(hip.hipFree, address) for address in self._buffers]
        self._modules, self._buffers = set(), {}
        self._queue = self._flush = None
        for free, handle in freeing:
            with contextlib.suppress(HipError, RuntimeError):
                call(free, handle)


def _info(bindings: Bindings, index: int) -> DeviceInfo:
    properties = properties_of(bindings, index)
    target = text(properties.gcnArchName)
    emulated = hip_identity.is_emulated()
    # To overwrite the caches of an emulated GPU takes minutes, and makes nothing cold that counts.
    l2_bytes, infinity_bytes = int(properties.l2CacheSize), hip_identity.infinity_cache_bytes(target)
    cache_bytes = 0 if emulated else 2 * l2_bytes + infinity_bytes
    major, minor = call(bindings.hiprtc.hiprtcVersion)
    driver = hip_identity.hip_version(call(bindings.hip.hipDriverGetVersion))
    return DeviceInfo(
        kind="hip",
        name=text(properties.name) or target,
        target=target,
        compute_units=int(properties.multiProcessorCount),
        wave_size=int(properties.warpSize),
        memory_bytes=int(properties.totalGlobalMem),
        cache_bytes=cache_bytes,
        driver=hip_identity.kernel_driver() or f"HIP {driver}",
        runtime=f"HIP {hip_identity.hip_version(call(bindings.hip.hipRuntimeGetVersion))}",
        emulated=emulated,
        extra={"hip_python": bindings.version, "hiprtc": f"{major}.{minor}", "pci": _pci_address(properties)},
    )


def _pci_address(properties: Any) -> str:
    """Domain, bus, device and function: `0000:0c:00.0`."""
    domain, bus, device = properties.pciDomainID, properties.pciBusID, properties.pciDeviceID
    return f"{int(domain):04x}:{int(bus):02x}:{int(device):02x}.0"
