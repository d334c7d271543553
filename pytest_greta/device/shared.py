"""Memory shared by the test process and its worker: arrays cross without being copied through the channel."""

from __future__ import annotations

import mmap
import os
import socket
import weakref
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SharedMemory:
    """Anonymous shared memory of a fixed size; nothing is left behind in any folder.

    `view` is its memory, which stays mapped as long as anything refers to it: arrays made from it may outlive `close`.
    """

    def __init__(self, size_bytes: int, handle: int | None = None) -> None:
        is_filled = handle is not None
        if handle is None:
            handle = os.memfd_create("greta")
            os.ftruncate(handle, max(size_bytes, 1))
        self._handle = handle
        # What another process has filled is mapped at once: a page at a time takes longer than to copy it.
        flags = mmap.MAP_SHARED | (mmap.MAP_POPULATE if is_filled else 0)
        self.view = memoryview(mmap.mmap(handle, max(size_bytes, 1), flags))[:size_bytes]

    def send(self, channel: socket.socket) -> None:
        """Pass the memory to the process at the other end of a Unix socket."""
        socket.send_fds(channel, [b"m"], [self._handle])

    def close(self) -> None:
        """Close the handle and let go of the memory."""
        self.view = memoryview(b"")
        os.close(self._handle)

    def __enter__(self) -> SharedMemory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Received:
    """Shared memory that another process passes, kept mapped: to map it anew takes longer than to copy it."""

    def __init__(self, most_bytes: int) -> None:
        """Keep so many bytes mapped, those used last."""
        self._most_bytes = most_bytes
        self._kept: dict[int, SharedMemory] = {}

    def receive(self, channel: socket.socket, size_bytes: int) -> SharedMemory:
        """What the other side passed with `send`: to be used before the next one is received."""
        _, (handle, *_), _, _ = socket.recv_fds(channel, 1, 1)
        number = os.fstat(handle).st_ino  # of no other memory as long as this is mapped
        memory = self._kept.pop(number, None)
        if memory is None:
            memory = SharedMemory(size_bytes, handle)
        else:
            os.close(handle)
        self._kept[number] = memory
        while len(self._kept) > 1 and sum(len(one.view) for one in self._kept.values()) > self._most_bytes:
            self._kept.pop(next(iter(self._kept))).close()
        return memory


class SharedPool:
    """Shared memory for arrays that come and go: to be given new pages takes ten times as long as to fill them."""

    def __init__(self, most_bytes: int = 1 << 30) -> None:
        """Keep no more than so many bytes that no array is in."""
        self._most_bytes = most_bytes
        self._free: list[SharedMemory] = []

    def take(self, size_bytes: int) -> tuple[SharedMemory, NDArray[np.uint8]]:
        """Memory of a size, holding anything, and the array in it. When nothing refers to the array any more, it is
        given to others.
        """
        memory = next((one for one in self._free if len(one.view) == size_bytes), None)
        if memory is None:
            memory = SharedMemory(size_bytes)
        else:
            self._free.remove(memory)
        array = np.frombuffer(memory.view, np.uint8)
        weakref.finalize(array, self._put, memory).atexit = False
        return memory, array

    def close(self) -> None:
        """Keep nothing from now on."""
        self._most_bytes = 0
        while self._free:
            self._free.pop().close()

    def _put(self, memory: SharedMemory) -> None:
        self._free.append(memory)
        while sum(len(one.view) for one in self._free) > self._most_bytes:
            self._free.pop(0).close()
