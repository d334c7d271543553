"""Host work beside the device's."""

from __future__ import annotations

import threading
import time

import pytest

from pytest_greta.measure.beside import Ahead, Aside


def test_what_is_done_aside_is_done_in_order_and_raises_where_it_is_waited_for() -> None:
    aside, done, may = Aside(is_beside=True), list[int](), threading.Event()

    def work(number: int) -> None:
        may.wait(10)
        done.append(number)
        if number == 1:
            raise ValueError("the second")

    aside.do(lambda: work(0))
    aside.do(lambda: work(1))
    assert not done
    assert not aside.is_idle
    may.set()
    with pytest.raises(ValueError, match="the second"):
        aside.finish()
    assert done == [0, 1]
    assert aside.is_idle
    aside.close()


def test_no_more_than_two_wait() -> None:
    aside, may, begun = Aside(is_beside=True), threading.Event(), list[int]()

    def wait() -> None:
        may.wait(10)

    def submit() -> None:
        for number in range(3):
            aside.do(wait)
            begun.append(number)

    thread = threading.Thread(target=submit)
    thread.start()
    time.sleep(0.05)
    assert begun == [0, 1]
    may.set()
    thread.join()
    assert begun == [0, 1, 2]
    aside.close()


def test_on_the_host_itself_it_is_done_at_once() -> None:
    aside, where = Aside(is_beside=False), list[int]()
    aside.do(lambda: where.append(threading.get_ident()))
    assert where == [threading.get_ident()]


def wait_for(ahead: Ahead[str, int], pending: int) -> None:
    """Until no more than so much is to be made."""
    until = time.monotonic() + 10
    while ahead.pending > pending and time.monotonic() < until:
        time.sleep(0.001)


def test_what_was_made_ahead_is_there_and_what_failed_is_not() -> None:
    ahead: Ahead[str, int] = Ahead()
    ahead.begin("one", lambda: 1)
    ahead.begin("one", lambda: 2)
    ahead.begin("wrong", lambda: 1 // 0)
    wait_for(ahead, 0)
    assert ahead.take("one") == 1
    assert ahead.take("wrong") is None
    assert ahead.take("one") is None
    assert ahead.close() == []


def test_what_was_not_begun_yet_is_left_to_whoever_needs_it() -> None:
    ahead: Ahead[str, int] = Ahead()
    begun, may, made = threading.Event(), threading.Event(), list[str]()

    def slow() -> int:
        begun.set()
        return int(may.wait(10))

    def following() -> int:
        made.append("next")
        return 2

    ahead.begin("slow", slow)
    begun.wait(10)
    ahead.begin("next", following)
    assert ahead.pending == 2
    assert ahead.take("next") is None
    may.set()
    assert ahead.take("slow") == 1
    ahead.begin("left", lambda: 3)
    wait_for(ahead, 0)
    assert ahead.made == [3]
    assert ahead.close() == [3]
    assert made == []
