"""Host work beside the device's: what a measurement sees is judged in a thread while the device goes on, and what later
measurements need is made in another.

Threads are daemons: an author's slow code keeps no session from ending.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_MOST_PENDING = 2
"""So much waits to be judged, each with outputs of its own in memory."""


class _Worker(Generic[T]):
    """A thread that does one thing after another; made when it is first needed."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Future[T], Callable[[], T]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], T]) -> Future[T]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="greta-beside", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._queue.put((future, work))
        return future

    def close(self) -> None:
        """End the thread when it is done with what it was given."""
        self._queue.put(None)

    def _serve(self) -> None:
        while (given := self._queue.get()) is not None:
            future, work = given
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # told where the result is asked for
                future.set_exception(error)
            del given, future, work  # what they hold is large


class Aside:
    """Does what it is given in order, beside the device; at once where the device is the host itself, whose times that
    would change.
    """

    def __init__(self, is_beside: bool) -> None:
        self._worker: _Worker[None] | None = _Worker() if is_beside else None
        self._pending: deque[Future[None]] = deque()

    def do(self, work: Callable[[], None]) -> None:
        """Begin it. Raises what it, or something before it, raised."""
        if self._worker is None:
            work()
            return
        while len(self._pending) >= _MOST_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._worker.submit(work))

    @property
    def is_idle(self) -> bool:
        """Whether all of it is done."""
        return all(future.done() for future in self._pending)

    def finish(self) -> None:
        """Wait for all of it. Raises what it raised."""
        while self._pending:
            self._pending.popleft().result()

    def close(self) -> None:
        """Begin no more of it."""
        for future in self._pending:
            future.cancel()
        self._pending.clear()
        if self._worker is not None:
            self._worker.close()


class Ahead(Generic[K, T]):
    """What will be asked for, made ahead of that, one thing after another."""

    def __init__(self) -> None:
        self._worker: _Worker[T] = _Worker()
        self._begun: dict[K, Future[T]] = {}

    def begin(self, key: K, make: Callable[[], T]) -> None:
        """Make what belongs to a key, unless it is being made."""
        if key not in self._begun:
            self._begun[key] = self._worker.submit(make)

    def take(self, key: K) -> T | None:
        """What was made, or is being made just now; None where nothing was begun, or where it failed: whoever needs it
        makes it then, and meets what went wrong.
        """
        future = self._begun.pop(key, None)
        if future is None or future.cancel():
            return None
        return None if future.exception() else future.result()

    @property
    def pending(self) -> int:
        """How much is not made yet."""
        return sum(not future.done() for future in self._begun.values())

    @property
    def made(self) -> list[T]:
        """What nobody has taken yet."""
        done = [future for future in self._begun.values() if future.done()]
        return [future.result() for future in done if not future.cancelled() and not future.exception()]

    def close(self) -> list[T]:
        """Begin no more of it; gives what nobody has taken."""
        for future in self._begun.values():
            future.cancel()
        left = self.made
        self._begun.clear()
        self._worker.close()
        return left
