"""Blocking on a word, the clock, and when to spin."""

import os
import signal
import threading
import time

import pytest

from .harness import MS, Call, CData, Core, until


@pytest.fixture
def word(core: Core) -> CData:
    """A word that is 5."""
    return core.ffi.new("uint32_t *", 5)


def park(core: Core, word: CData, expected: int, timeout_ns: int) -> int:
    """Park again after every slice or wake-up that was for somebody else's word."""
    while True:
        result = int(core.lib.ix_park_wait(core.word(word), expected, timeout_ns))
        if result != core.lib.IX_PARK_INTERRUPTED and (word[0] != expected or timeout_ns >= 0):
            return result


def test_a_word_that_has_changed_is_not_waited_for(core: Core, word: CData) -> None:
    assert core.lib.ix_park_wait(core.word(word), 4, -1) == core.lib.IX_PARK_WOKEN


def test_a_wait_ends_with_its_time(core: Core, word: CData) -> None:
    start = time.monotonic()
    result = core.lib.ix_park_wait(core.word(word), 5, 5 * MS)
    assert result == core.lib.IX_PARK_TIMEOUT
    assert time.monotonic() - start >= 0.005


def test_a_wait_of_no_time_is_over_at_once(core: Core, word: CData) -> None:
    assert core.lib.ix_park_wait(core.word(word), 5, 0) == core.lib.IX_PARK_TIMEOUT


def test_a_wait_longer_than_anybody_lives_can_be_ended(core: Core, word: CData) -> None:
    call = Call(park, core, word, 5, 9 * 10**18)
    word[0] = 6
    while not call.is_over():
        core.lib.ix_park_wake_all(core.word(word))
        time.sleep(0.001)
    assert call.result() == core.lib.IX_PARK_WOKEN


def test_waking_all_wakes_every_sleeper(core: Core, word: CData) -> None:
    calls = [Call(park, core, word, 5, -1) for _ in range(5)]
    word[0] = 6
    core.lib.ix_park_wake_all(core.word(word))
    assert [call.result() for call in calls] == [core.lib.IX_PARK_WOKEN] * 5


def test_a_wake_up_just_before_the_sleep_is_not_lost(core: Core, word: CData) -> None:
    for _ in range(200):
        word[0] = 5
        call = Call(park, core, word, 5, -1)
        word[0] = 6
        core.lib.ix_park_wake_one(core.word(word))
        assert call.result() == core.lib.IX_PARK_WOKEN


def test_words_that_share_a_bucket_do_not_disturb_each_other(core: Core) -> None:
    words = core.ffi.new("uint32_t[4]", [1, 1, 1, 1])  # 16 bytes: one bucket of park_posix.c
    calls = [Call(park, core, words + i, 1, -1) for i in range(4)]
    for i in reversed(range(4)):
        assert not calls[i].is_over()
        words[i] = 0
        core.lib.ix_park_wake_one(core.word(words + i))
        calls[i].result()


def test_a_signal_ends_a_wait_or_the_slice_it_is_in(core: Core, word: CData) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("handlers are set by the main thread")
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        call = Call(core.lib.ix_park_wait, core.word(word), 5, -1)
        while not call.is_over():
            signal.pthread_kill(call.ident, signal.SIGUSR1)
            time.sleep(0.001)
        assert call.result() == core.lib.IX_PARK_INTERRUPTED
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_clock_never_goes_back(core: Core) -> None:
    times = [core.lib.ix_now_ns() for _ in range(10_000)]
    assert times == sorted(times)
    assert abs(times[-1] / 1e9 - time.monotonic()) < 5


def test_the_processors_are_those_this_process_may_use(core: Core) -> None:
    count = core.lib.ix_cpu_count()
    if core.variant == "futex":
        assert count == len(os.sched_getaffinity(0))
    assert 1 <= count <= (os.cpu_count() or 1)


# ---- spinning ----


def test_a_new_score_spins_only_once_in_a_while(core: Core) -> None:
    spin = core.new("struct ix_spin")
    worth = [core.lib.ix_spin_worth_it(spin) for _ in range(3 * core.lib.IX_SPIN_PROBE_EVERY)]
    assert worth.count(True) == 3
    assert worth[core.lib.IX_SPIN_PROBE_EVERY - 1]


def test_spinning_that_pays_is_kept_up(core: Core) -> None:
    spin = core.new("struct ix_spin")
    core.lib.ix_spin_learn(spin, True)
    assert core.lib.ix_spin_worth_it(spin)


def test_spinning_that_has_ceased_to_pay_ends(core: Core) -> None:
    spin = core.new("struct ix_spin")
    for _ in range(100):
        core.lib.ix_spin_learn(spin, True)
    assert spin.score == core.lib.IX_SPIN_MAX_SCORE
    for _ in range(core.lib.IX_SPIN_MAX_SCORE):
        assert core.lib.ix_spin_worth_it(spin)
        core.lib.ix_spin_learn(spin, False)
    assert not core.lib.ix_spin_worth_it(spin)
    core.lib.ix_spin_learn(spin, False)
    assert spin.score == 0


def test_a_spin_that_is_not_worth_it_does_not_look(core: Core, word: CData) -> None:
    spin = core.new("struct ix_spin")
    assert not core.lib.ix_spin_wait(spin, core.word(word), 0xFFFFFFFF, 4)


def test_a_spin_sees_a_change_in_the_bits_it_watches(core: Core, word: CData) -> None:
    spin = core.new("struct ix_spin", score=1)
    assert core.lib.ix_spin_wait(spin, core.word(word), 1, 0)
    assert spin.score == 3
    assert not core.lib.ix_spin_wait(spin, core.word(word), 2, 0)
    assert spin.score == 2


def test_a_spin_sees_what_another_thread_does(core: Core, word: CData) -> None:
    spin = core.new("struct ix_spin", score=core.lib.IX_SPIN_MAX_SCORE)

    def watch() -> bool:
        while not core.lib.ix_spin_wait(spin, core.word(word), 0xFFFFFFFF, 5):
            spin.score = 1
        return True

    call = Call(watch)
    word[0] = 6
    assert call.result()
    until(call.is_over)
