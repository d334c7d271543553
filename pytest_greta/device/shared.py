"""Memory shared by the test process and its worker: arrays cross without being copied through the channel."""

from __future__ import annotations

import mmap
import os
import socket
from types import TracebackType


class SharedMemory:
    """Anonymous shared memory of a fixed size; nothing is left behind in any folder.

    `view` is its memory, which stays mapped as long as anything refers to it: arrays made from it may outlive `close`.
    """

    def __init__(self, size_bytes: int, handle: int | None = None) -> None:
        if handle is None:
            handle = os.memfd_create("greta")
            os.ftruncate(handle, max(size_bytes, 1))
        self._handle = handle
        self.view = memoryview(mmap.mmap(handle, max(size_bytes, 1)))[:size_bytes]

    @classmethod
    def receive(cls, channel: socket.socket, size_bytes: int) -> SharedMemory:
        """Map what the other side passed with `send`."""
        _, handles, _, _ = socket.recv_fds(channel, 1, 1)
        return cls(size_bytes, handles[0])

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
