"""Memory shared by the test process and its worker: arrays cross without being copied through the channel."""

from __future__ import annotations

import mmap
import os
import socket
import weakref
from contextlib import suppress
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

    def __init__(self, most_bytes: int, most: int = 64) -> None:
        """Keep so many bytes mapped, and no more than so many pieces: each takes two file descriptors."""
        self._most_bytes, self._most = most_bytes, most
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
        while len(self._kept) > 1 and (len(self._kept) > self._most or self._size_bytes() > self._most_bytes):
            self._kept.pop(next(iter(self._kept))).close()
        return memory

    def _size_bytes(self) -> int:
        return sum(len(one.view) for one in self._kept.values())


class SharedPool:
    """Shared memory for arrays that come and go: to be given new pages takes ten times as long as to fill them."""

    def __init__(self, most_bytes: int = 1 << 30, most: int = 16) -> None:
        """Keep no more than so many bytes that no array is in, in so many pieces."""
        self._most_bytes, self._most = most_bytes, most
        self._free: list[SharedMemory] = []

    def take(self, size_bytes: int) -> tuple[SharedMemory, NDArray[np.uint8]]:
        """Memory of a size, holding anything, and the array in it. When nothing refers to the array any more, it is
        given to others.
        """
        memory = self._taken(size_bytes) or SharedMemory(size_bytes)
        array = np.frombuffer(memory.view, np.uint8)
        weakref.finalize(array, self._put, memory).atexit = False
        return memory, array

    def close(self) -> None:
        """Keep nothing from now on."""
        self._most = 0
        self._trim()

    def _taken(self, size_bytes: int) -> SharedMemory | None:
        """A free piece of that size: an array may end in another thread, which takes pieces out as well."""
        for one in list(self._free):
            if len(one.view) == size_bytes:
                with suppress(ValueError):
                    self._free.remove(one)
                    return one
        return None

    def _put(self, memory: SharedMemory) -> None:
        self._free.append(memory)
        self._trim()

    def _trim(self) -> None:
        while len(self._free) > self._most or sum(len(one.view) for one in self._free) > self._most_bytes:
            with suppress(IndexError):
                self._free.pop(0).close()
