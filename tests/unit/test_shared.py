"""Memory that the test process and its worker share."""

from __future__ import annotations

import socket

import numpy as np

from pytest_greta.device.shared import Received, SharedMemory, SharedPool


def test_memory_is_given_to_others_when_nothing_refers_to_its_array() -> None:
    pool = SharedPool()
    memory, array = pool.take(4096)
    array[:] = 7
    view = array[8:16].view(np.uint32)
    del array
    other, its_array = pool.take(4096)
    assert other is not memory
    assert view.tolist() == [0x07070707] * 2
    del view
    again, its_other = pool.take(4096)
    assert again is memory
    assert its_other.tolist() == [7] * 4096
    larger, _ = pool.take(8192)
    assert larger is not memory
    del its_array, its_other
    pool.close()


def test_no_more_is_kept_than_so_many_bytes() -> None:
    pool = SharedPool(most_bytes=8192)
    taken = [pool.take(4096) for _ in range(3)]
    memories = [memory for memory, _ in taken]
    taken.clear()
    assert sorted(len(memory.view) for memory in memories) == [0, 4096, 4096]
    pool.close()
    assert [len(memory.view) for memory in memories] == [0, 0, 0]


def test_what_is_taken_when_the_pool_closes_is_closed_with_its_array() -> None:
    pool = SharedPool()
    memory, array = pool.take(64)
    pool.close()
    array[:] = 1
    assert int(array.sum()) == 64
    del array
    assert len(memory.view) == 0


def test_none_has_no_bytes_too_many() -> None:
    with SharedMemory(0) as memory:
        assert len(memory.view) == 0


def test_what_is_passed_again_stays_mapped() -> None:
    ours, theirs = socket.socketpair()
    received = Received(most_bytes=8192)
    with ours, theirs, SharedMemory(4096) as one, SharedMemory(4096) as other, SharedMemory(4096) as third:
        one.send(ours)
        mapped = received.receive(theirs, 4096)
        one.view[:3] = b"abc"
        one.send(ours)
        assert received.receive(theirs, 4096) is mapped
        assert bytes(mapped.view[:3]) == b"abc"
        mapped.view[0] = ord("x")
        assert one.view[0] == ord("x")
        other.send(ours)
        assert received.receive(theirs, 4096) is not mapped
        third.send(ours)
        received.receive(theirs, 4096)
        assert len(mapped.view) == 0  # what was used least is let go


def test_one_that_is_larger_than_what_is_kept_is_there_while_it_is_used() -> None:
    ours, theirs = socket.socketpair()
    received = Received(most_bytes=16)
    with ours, theirs, SharedMemory(4096) as large:
        large.send(ours)
        assert len(received.receive(theirs, 4096).view) == 4096


def test_no_more_pieces_are_kept_than_there_are_file_descriptors_for() -> None:
    ours, theirs = socket.socketpair()
    received, pool = Received(most_bytes=1 << 20, most=2), SharedPool(most=2)
    with ours, theirs:
        for _ in range(4):
            with SharedMemory(64) as one:
                one.send(ours)
                received.receive(theirs, 64)
    assert len(received._kept) == 2
    taken = [pool.take(64) for _ in range(4)]
    memories = [memory for memory, _ in taken]
    taken.clear()
    assert sorted(len(memory.view) for memory in memories) == [0, 0, 64, 64]
    pool.close()
