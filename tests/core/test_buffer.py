"""The growing byte buffer."""

import pytest

from .harness import CData, Core


def grown(core: Core, data: bytes) -> CData:
    """A buffer whose memory is on the heap."""
    buffer = core.new("struct ix_buffer")
    assert core.lib.ix_buffer_grow(buffer, 1)
    assert core.lib.ix_buffer_write(buffer, data, len(data))
    return buffer


def test_a_small_payload_stays_in_the_borrowed_memory(core: Core) -> None:
    buffer = core.buffer(b"abc", room=8)
    assert core.lib.ix_buffer_write(buffer, b"defgh", 5)
    assert core.text(buffer) == b"abcdefgh"
    assert buffer.data == buffer.borrowed
    core.lib.ix_buffer_fini(buffer)


def test_growing_out_of_the_borrowed_memory_keeps_the_contents(core: Core) -> None:
    buffer = core.buffer(b"abcdefgh", room=8)
    assert core.lib.ix_buffer_write(buffer, b"i", 1)
    assert core.text(buffer) == b"abcdefghi"
    assert buffer.borrowed == core.ffi.NULL
    core.lib.ix_buffer_fini(buffer)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 127, 128, 129, 4096, 100_000])
def test_every_size_is_kept(core: Core, size: int) -> None:
    data = bytes(i * 7 & 255 for i in range(size))
    buffer = core.buffer(b"", room=0)
    for start in range(0, size, 1000):
        piece = data[start : start + 1000]
        assert core.lib.ix_buffer_write(buffer, piece, len(piece))
    assert core.text(buffer) == data
    assert buffer.capacity >= size
    core.lib.ix_buffer_fini(buffer)


def test_reserving_changes_nothing_but_the_capacity(core: Core) -> None:
    buffer = core.buffer(b"abc", room=3)
    assert core.lib.ix_buffer_reserve(buffer, 1000)
    assert core.text(buffer) == b"abc"
    assert buffer.capacity >= 1003
    data = buffer.data
    assert core.lib.ix_buffer_reserve(buffer, 1000)
    assert buffer.data == data
    core.lib.ix_buffer_fini(buffer)


def test_the_capacity_doubles_so_that_many_small_writes_are_cheap(core: Core) -> None:
    buffer = core.new("struct ix_buffer")
    places = set()
    for _ in range(100_000):
        assert core.lib.ix_buffer_write(buffer, b"x", 1)
        places.add(int(buffer.capacity))
    assert len(places) <= 12
    core.lib.ix_buffer_fini(buffer)


@pytest.mark.parametrize("extra", [2**63 - 1, 2**63, 2**64 - 1])
def test_an_impossible_size_is_refused(core: Core, extra: int) -> None:
    buffer = core.buffer(b"abc", room=3)
    assert not core.lib.ix_buffer_grow(buffer, extra)
    assert core.text(buffer) == b"abc"
    core.lib.ix_buffer_fini(buffer)


def test_without_memory_growing_fails_and_the_contents_stay(core: Core) -> None:
    for buffer in (core.buffer(b"abc", room=3), grown(core, b"abc")):
        with core.failing_allocation():
            assert not core.lib.ix_buffer_write(buffer, b"x" * 1000, 1000)
        assert core.text(buffer) == b"abc"
        core.lib.ix_buffer_fini(buffer)


def test_writing_nothing_needs_no_memory(core: Core) -> None:
    buffer = core.new("struct ix_buffer")
    assert core.lib.ix_buffer_write(buffer, b"", 0)
    assert core.lib.ix_buffer_write(buffer, core.ffi.NULL, 0)
    assert buffer.data == core.ffi.NULL
    core.lib.ix_buffer_fini(buffer)


def test_stealing_gives_away_a_heap_block_without_a_copy(core: Core) -> None:
    buffer = grown(core, b"abc")
    data = buffer.data
    assert core.lib.ix_buffer_steal(buffer) == data
    assert core.ffi.buffer(data, 3)[:] == b"abc"
    assert (buffer.length, buffer.capacity, buffer.data) == (0, 0, core.ffi.NULL)
    core.lib.ix_test_free(data)
    core.lib.ix_buffer_fini(buffer)


def test_stealing_copies_out_of_borrowed_memory(core: Core) -> None:
    buffer = core.buffer(b"abc", room=8)
    borrowed = buffer.borrowed
    data = core.lib.ix_buffer_steal(buffer)
    assert data != borrowed
    assert core.ffi.buffer(data, 3)[:] == b"abc"
    core.lib.ix_test_free(data)
    core.lib.ix_buffer_fini(buffer)


def test_stealing_from_an_empty_buffer_gives_a_block_all_the_same(core: Core) -> None:
    for buffer in (core.new("struct ix_buffer"), core.buffer(b"", room=8)):
        data = core.lib.ix_buffer_steal(buffer)
        assert data
        core.lib.ix_test_free(data)


def test_stealing_without_memory_leaves_an_empty_buffer(core: Core) -> None:
    buffer = core.buffer(b"abc", room=8)
    with core.failing_allocation():
        assert core.lib.ix_buffer_steal(buffer) == core.ffi.NULL
    assert buffer.length == 0
    core.lib.ix_buffer_fini(buffer)


def test_a_buffer_can_be_used_again_after_stealing(core: Core) -> None:
    buffer = core.buffer(b"abc", room=3)
    core.lib.ix_test_free(core.lib.ix_buffer_steal(buffer))
    assert core.lib.ix_buffer_write(buffer, b"again", 5)
    assert core.text(buffer) == b"again"
    core.lib.ix_buffer_fini(buffer)


def test_ending_a_buffer_twice_is_fine(core: Core) -> None:
    buffer = grown(core, b"abc")
    core.lib.ix_buffer_fini(buffer)
    core.lib.ix_buffer_fini(buffer)
