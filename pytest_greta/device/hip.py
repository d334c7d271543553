"""The hip device: HIP sources compiled with hiprtc and launched with the HIP module API, through hip-python.

hip_bindings.py imports hip-python, hiprtc.py compiles.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_greta.compiler.cache import CodeCache
from pytest_greta.device import BoundLaunch, Device, DeviceInfo, Range, hip_identity, hip_missing
from pytest_greta.device.hip_bindings import Bindings, HipError, call, import_bindings, properties_of, text
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.errors import DeviceUnavailable
from pytest_greta.kernel import Value

ARG_SLOT_BYTES = 16
"""Every argument starts at a multiple of this: the largest alignment of a HIP vector type."""


_DIGEST_SOURCE = Path(__file__).with_name("digest.hip")
_DIGEST_THREADS = 256  # of a block of that kernel
_SUMS = 256
"""Ranges whose digests are computed at a time."""


@dataclass(frozen=True)
class Buffer:
    """Device memory: its address and size."""

    address: int
    size_bytes: int


@dataclass(frozen=True, eq=False)
class Module:
    """A loaded code object. `code` is kept: the runtime may read the image as long as the module lives."""

    handle: Any
    code: bytes


@dataclass(frozen=True, eq=False)
class Function:
    """A `__global__` function of a loaded module."""

    handle: Any
    entry: str


def open_hip(index: int = 0, cache: CodeCache | None = None) -> Device:
    """Open the HIP device `index` (counted among the visible ones). `cache` keeps the code of greta's own kernel.

    Raises DeviceUnavailable with one line that says what is missing and what to do.
    """
    bindings = import_bindings()
    try:
        try:
            count = call(bindings.hip.hipGetDeviceCount)
        except HipError as error:
            if error.name != "hipErrorNoDevice":
                raise
            count = 0
        call(bindings.hiprtc.hiprtcVersion)  # loads libhiprtc: every launch needs a compiled source
        if count == 0:
            raise DeviceUnavailable(f"no HIP device: {hip_missing.no_device_text(os.environ)}")
        if not 0 <= index < count:
            raise DeviceUnavailable(f"no HIP device {index}: there are {count}, counted from 0")
        return HipDevice(bindings, index, cache)
    except RuntimeError as error:
        text = hip_missing.library_text(error, bindings.version, bindings.namespaced, os.environ)
        raise DeviceUnavailable(text) from error
    except HipError as error:
        hint = "; its memory is taken by other processes" if error.name == "hipErrorOutOfMemory" else ""
        raise DeviceUnavailable(f"HIP device {index} does not open: {error}{hint}") from error


class HipDevice:
    """One GPU with a stream and two timing events. See `Device` for the methods."""

    def __init__(self, bindings: Bindings, index: int, cache: CodeCache | None) -> None:
        self._hip, self._hiprtc = bindings.hip, bindings.hiprtc
        self._modules: set[Module] = set()
        self._buffers: dict[int, Buffer] = {}
        self._events: list[Any] = []
        self._stream: Any = None
        self._flush: Buffer | None = None
        self._cache = cache
        self._digest: Function | None = None
        self._sums: Buffer | None = None
        try:
            call(self._hip.hipSetDevice, index, about=f"device {index}")
            self.info = _info(bindings, index)
            self._stream = call(self._hip.hipStreamCreate)
            for _ in range(2):
                self._events.append(call(self._hip.hipEventCreate))
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
            call(self._hip.hipFree, buffer.address, about=f"{buffer.size_bytes} bytes")

    def memory_used_bytes(self) -> int:
        """Bytes of device memory in use by all processes, as the runtime tells."""
        free, total = call(self._hip.hipMemGetInfo)
        return int(total) - int(free)

    def fill(self, buffer: Buffer, byte: int, offset_bytes: int, size_bytes: int) -> None:
        """Set a range of a buffer to one repeated byte; ValueError if it is not inside."""
        address = _range(buffer, offset_bytes, size_bytes)
        if size_bytes:
            about = f"{size_bytes} bytes"
            call(self._hip.hipMemsetD8Async, address, byte, size_bytes, self._stream, about=about)
            call(self._hip.hipStreamSynchronize, self._stream, about="after a fill")

    def write(self, buffer: Buffer, offset_bytes: int, data: memoryview) -> None:
        """Copy contiguous host memory into a buffer; ValueError if the range is not inside."""
        address = _range(buffer, offset_bytes, data.nbytes)
        if data.nbytes:
            host = np.frombuffer(data, np.uint8).ctypes.data
            call(self._hip.hipMemcpyHtoD, address, host, data.nbytes, about=f"{data.nbytes} bytes")
            # A copy from pageable memory may return while the device still reads its staging buffer.
            call(self._hip.hipDeviceSynchronize)

    def copy(
        self, source: Buffer, source_offset_bytes: int, into: Buffer, offset_bytes: int, size_bytes: int
    ) -> None:
        """Copy a range of a buffer into another, or to another place of the same one; ValueError if not inside."""
        start = _range(source, source_offset_bytes, size_bytes)
        address = _range(into, offset_bytes, size_bytes)
        if size_bytes:
            about = f"{size_bytes} bytes"
            call(self._hip.hipMemcpyDtoDAsync, address, start, size_bytes, self._stream, about=about)
            call(self._hip.hipStreamSynchronize, self._stream, about="after a copy")

    def read(self, buffer: Buffer, offset_bytes: int, into: memoryview) -> None:
        """Copy a range of a buffer into contiguous host memory; ValueError if it is not inside."""
        address = _range(buffer, offset_bytes, into.nbytes)
        if into.readonly:
            raise ValueError("cannot read into read-only memory")
        if into.nbytes:
            host = np.frombuffer(into, np.uint8).ctypes.data
            call(self._hip.hipMemcpyDtoH, host, address, into.nbytes, about=f"{into.nbytes} bytes")

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """The sums that `digest.hip` computes, queued on the stream behind what was launched."""
        self._load_digest()
        assert self._sums is not None
        found: list[bytes] = []
        for first in range(0, len(ranges), _SUMS):
            part, sums = ranges[first : first + _SUMS], self._sums
            call(
                self._hip.hipMemsetD8Async,
                sums.address,
                0,
                8 * len(part),
                self._stream,
                about="sums of digests",
            )
            for i, (buffer, offset_bytes, size_bytes) in enumerate(part):
                blocks = min(max(1, size_bytes // (16 * _DIGEST_THREADS)), 16 * self.info.compute_units)
                _range(buffer, offset_bytes, size_bytes)
                args = ((buffer, offset_bytes), np.uint64(size_bytes), (sums, 8 * i))
                self._enqueue(BoundLaunch(self._digest, (blocks, 1, 1), (_DIGEST_THREADS, 1, 1), args))
            into = memoryview(bytearray(8 * len(part)))
            call(self._hip.hipStreamSynchronize, self._stream, about="after a digest")
            self.read(sums, 0, into)
            found += [bytes(into[8 * i : 8 * i + 8]) for i in range(len(part))]
        return found

    def _load_digest(self) -> None:
        """Compile greta's own kernel, or take it from the cache."""
        if self._digest is not None:
            return
        source = _DIGEST_SOURCE.read_text()
        request = repr(
            ("digest", source, self.info.target, self.info.runtime, sorted(self.info.extra.items()))
        )
        code = self._cache.lookup(request) if self._cache else None
        if code is None:
            code = self.compile(source, _DIGEST_SOURCE.name, ["-O3"])
            if self._cache:
                self._cache.store(request, {}, {}, code)
        self._digest = self.function(self.load(code), "greta_digest")
        self._sums = self.allocate(8 * _SUMS)

    def flush_caches(self) -> None:
        """Overwrite a buffer as large as the L2 and the Infinity Cache together."""
        if self._flush is None and self.info.cache_bytes:
            self._flush = self.allocate(self.info.cache_bytes)
        if self._flush is not None:
            self.fill(self._flush, 0, 0, self._flush.size_bytes)

    # -- running --------------------------------------------------------------------------------------------

    def launch(self, launches: Sequence[BoundLaunch]) -> float:
        """Run launches in order, wait, and return the seconds between an event before and one after them."""
        hip, (start, stop) = self._hip, self._events
        # Everything that takes host time is done before the first event.
        packed = [(launch, _pack(launch.args)) for launch in launches]
        call(hip.hipEventRecord, start, self._stream)
        for launch, args in packed:
            self._enqueue(launch, args)
        call(hip.hipEventRecord, stop, self._stream)
        names = ", ".join(dict.fromkeys(launch.function.entry for launch in launches))
        call(hip.hipEventSynchronize, stop, about=f"after {names}")
        milliseconds = call(hip.hipEventElapsedTime, start, stop, about=f"after {names}")
        return float(milliseconds) * 1e-3

    def _enqueue(self, launch: BoundLaunch, args: _Arguments | None = None) -> None:
        """Queue a launch, with arguments that were packed before, or now."""
        packed = args or _pack(launch.args)  # held until the call is over
        about = f"{launch.function.entry}, grid {launch.grid}, block {launch.block}"
        if launch.dynamic_lds_bytes:
            about += f", {launch.dynamic_lds_bytes} bytes of LDS"
        call(
            self._hip.hipModuleLaunchKernel,
            *(launch.function.handle, *launch.grid, *launch.block, launch.dynamic_lds_bytes),
            *(self._stream, packed.pointers, None),
            about=about,
        )

    def close(self) -> None:
        """Free everything; errors are ignored, for after a fault every call fails."""
        hip = self._hip
        freeing: list[tuple[Any, Any]] = [(hip.hipModuleUnload, m.handle) for m in self._modules]
        freeing += [(hip.hipFree, address) for address in self._buffers]
        freeing += [(hip.hipEventDestroy, event) for event in self._events]
        if self._stream is not None:
            freeing.append((hip.hipStreamDestroy, self._stream))
        self._modules, self._buffers, self._events = set(), {}, []
        self._stream = self._flush = self._digest = self._sums = None
        for free, handle in freeing:
            with contextlib.suppress(HipError, RuntimeError):
                call(free, handle)


@dataclass(frozen=True)
class _Arguments:
    """Packed kernel arguments: the array of pointers that a launch takes, and the memory it points into."""

    pointers: Any
    storage: Any


def _pack(args: Sequence[tuple[Buffer, int] | Value]) -> _Arguments:
    """Copy arguments into C memory. A value's own bytes are passed, whatever its dtype."""
    values = [
        np.uint64(_range(arg[0], arg[1], 0)).tobytes() if isinstance(arg, tuple) else arg.tobytes()
        for arg in args
    ]
    slots = [-(-len(v) // ARG_SLOT_BYTES) * ARG_SLOT_BYTES for v in values]
    storage = ctypes.create_string_buffer(sum(slots) + ARG_SLOT_BYTES)
    base = -(-ctypes.addressof(storage) // ARG_SLOT_BYTES) * ARG_SLOT_BYTES
    pointers = (ctypes.c_void_p * max(len(values), 1))()
    for i, (value, slot) in enumerate(zip(values, slots, strict=True)):
        ctypes.memmove(base, value, len(value))
        pointers[i] = base
        base += slot
    return _Arguments(pointers, storage)


def _range(buffer: Buffer, offset_bytes: int, size_bytes: int) -> int:
    """The address of a range of a buffer; ValueError if it does not lie inside."""
    if offset_bytes < 0 or offset_bytes + size_bytes > buffer.size_bytes:
        raise ValueError(
            f"bytes {offset_bytes} + {size_bytes} lie outside a buffer of {buffer.size_bytes} bytes"
        )
    return buffer.address + offset_bytes


def _info(bindings: Bindings, index: int) -> DeviceInfo:
    properties = properties_of(bindings, index)
    target = text(properties.gcnArchName)
    emulated = hip_identity.is_emulated()
    # To overwrite the caches of an emulated GPU takes minutes, and makes nothing cold that counts.
    cache_bytes = 0 if emulated else int(properties.l2CacheSize) + hip_identity.infinity_cache_bytes(target)
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
