"""Map jobs: outcomes, collecting, reading and ending."""

import pytest

from .harness import MS, Call, Core, until
from .job_rig import END, Map

# ---- outcomes ----


def test_settling_publishes_the_outcomes_as_one_range(pairs: Map) -> None:
    pairs.seal(4)
    first, second = pairs.claim(), pairs.claim()
    pairs.finish(second)
    assert pairs.look(0) == "GOES_ON"
    assert pairs.look(2) == (2, b"2;3;")
    pairs.finish(first)
    assert pairs.look(0) == (2, b"0;1;")


def test_large_outcomes_are_kept_whole(core: Core) -> None:
    job = Map(core, chunksize=50)
    job.seal(50)
    claim = job.claim()
    assert claim is not None
    outcomes = [bytes([i]) * (i * 97) for i in range(50)]
    job.add(claim, *outcomes)
    job.settle(claim)
    assert job.look(0) == (50, b"".join(outcomes))
    core.lib.ix_job_release(job.job)


def test_a_claim_that_fails_publishes_what_it_has_up_to_the_failure(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    assert claim is not None
    pairs.add(claim, b"!")
    pairs.lib.ix_job_end(pairs.job, END["CANCELLED"])
    pairs.settle(claim)
    assert pairs.look(0) == (1, b"!")


def test_a_claim_that_was_stopped_before_its_first_item_publishes_nothing(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    assert claim is not None
    pairs.settle(claim)
    assert pairs.look(0) == "GOES_ON"
    assert pairs.job.claims == pairs.ffi.NULL


def test_claims_settle_in_any_order(core: Core) -> None:
    job = Map(core, chunksize=1)
    job.seal(4)
    claims = [job.claim() for _ in range(4)]
    for i in (1, 3, 0, 2):
        job.finish(claims[i])
    assert [job.look(i) for i in range(4)] == [(1, b"%d;" % i) for i in range(4)]
    assert job.job.claims == core.ffi.NULL
    core.lib.ix_job_release(job.job)


@pytest.mark.parametrize("nth", [1])
def test_an_outcome_without_memory_is_refused_and_the_reader_is_told(pairs: Map, nth: int) -> None:
    pairs.seal(4)
    claim, buffer = pairs.claim(), pairs.core.buffer(b"outcome")
    with pairs.core.failing_allocation(nth):
        assert not pairs.lib.ix_claim_add(pairs.job, claim, buffer)
    pairs.lib.ix_buffer_fini(buffer)
    pairs.settle(claim, lost=True)
    assert pairs.look(0) == "BROKEN"
    assert pairs.claim() is None


def test_what_was_complete_before_memory_ran_out_is_read(pairs: Map) -> None:
    pairs.seal(4)
    first, second = pairs.claim(), pairs.claim()
    assert second is not None
    pairs.add(second, b"two")
    pairs.settle(second, lost=True)
    assert pairs.look(2) == (1, b"two")
    assert pairs.look(3) == "BROKEN"
    assert pairs.look(0) == "GOES_ON"
    pairs.finish(first)
    assert pairs.look(0) == (2, b"0;1;")


def test_a_range_without_memory_is_lost_and_the_reader_is_told(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    assert claim is not None
    pairs.add(claim, b"a", b"b")
    with pairs.core.failing_allocation():
        pairs.settle(claim)
    assert pairs.look(0) == "BROKEN"


# ---- collecting ----


def test_a_reader_that_has_waited_for_long_collects_what_is_there(core: Core) -> None:
    job = Map(core, chunksize=4)
    job.seal(4)
    claim = job.claim()
    assert claim is not None
    job.add(claim, b"a", b"b")
    assert job.look(0) == "GOES_ON"
    assert job.wait(0, -1) == core.lib.IX_PARK_WOKEN  # after 20 ms
    assert job.look(0) == (2, b"ab")
    job.add(claim, b"c")
    assert job.look(2) == "GOES_ON"
    assert job.wait(2, MS) == core.lib.IX_PARK_TIMEOUT
    assert job.look(2) == (1, b"c")
    job.add(claim, b"d")
    job.settle(claim)
    assert job.look(3) == (1, b"d")
    core.lib.ix_job_release(job.job)


def test_there_is_nothing_to_collect_of_an_item_that_still_runs(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    pairs.look(0)
    assert pairs.wait(0, MS) == pairs.lib.IX_PARK_TIMEOUT
    assert pairs.look(0) == "GOES_ON"
    pairs.finish(claim)
    assert pairs.look(0) == (2, b"0;1;")


def test_collecting_without_memory_leaves_it_to_the_worker(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    assert claim is not None
    pairs.add(claim, b"a")
    pairs.look(0)
    with pairs.core.failing_allocation():
        pairs.wait(0, 0)
    assert pairs.look(0) == "GOES_ON"
    pairs.add(claim, b"b")
    pairs.settle(claim)
    assert pairs.look(0) == (2, b"ab")


def test_a_segment_may_go_before_the_worker_has_settled(core: Core) -> None:
    job = Map(core, chunksize=1)
    job.seal(1), job.seal(1)
    first, second = job.claim(), job.claim()
    assert first is not None and second is not None
    job.add(first, b"a")
    job.look(0)
    job.wait(0, 0)
    assert job.look(0) == (1, b"a")
    core.lib.ix_job_drop_before(job.job, 1)
    assert job.segments() == 1
    job.add(second, b"b")
    job.look(1)
    job.wait(1, 0)  # looks at both claims: under ASan, at no freed segment
    assert job.look(1) == (1, b"b")
    job.settle(first)
    job.settle(second)
    core.lib.ix_job_release(job.job)


# ---- reading ----


def test_dropping_frees_just_what_lies_before(pairs: Map) -> None:
    pairs.seal(4), pairs.seal(4)
    assert pairs.claims() == [2, 2, 2, 2]
    for position, left in [(0, 2), (3, 2), (4, 1), (7, 1), (8, 0)]:
        pairs.lib.ix_job_drop_before(pairs.job, position)
        assert pairs.segments() == left
    assert pairs.seal(2) == 1
    assert pairs.claims() == [2]
    assert pairs.look(8) == (2, b"8;9;")


def test_what_is_not_sealed_yet_may_come(job: Map) -> None:
    assert job.look(0) == "GOES_ON"
    job.lib.ix_job_end(job.job, END["BROKEN"])
    assert job.look(0) == "BROKEN"


def test_a_settled_claim_wakes_the_reader(pairs: Map) -> None:
    pairs.seal(2)
    claim = pairs.claim()
    pairs.look(0)

    def read() -> tuple[int, bytes] | str:
        while isinstance(found := pairs.look(0), str):
            pairs.wait(0, -1)
        return found

    call = Call(read)
    until(lambda: pairs.job.sleeping)
    pairs.finish(claim)
    assert call.result() == (2, b"0;1;")


def test_a_wait_for_what_has_changed_since_is_over_at_once(pairs: Map) -> None:
    pairs.seal(2)
    pairs.look(0)
    pairs.claims()
    assert pairs.wait(0, -1) == pairs.lib.IX_PARK_WOKEN
    assert pairs.job.sleeping == 0


def test_a_short_wait_ends_with_its_time(pairs: Map) -> None:
    pairs.look(0)
    assert pairs.wait(0, MS) == pairs.lib.IX_PARK_TIMEOUT


# ---- ending ----


def test_the_first_reason_for_an_end_stands(job: Map) -> None:
    job.lib.ix_job_end(job.job, END["BROKEN"])
    job.lib.ix_job_end(job.job, END["CANCELLED"])
    assert job.look(0) == "BROKEN"


def test_what_was_claimed_before_the_end_still_comes(pairs: Map) -> None:
    pairs.seal(4)
    claim = pairs.claim()
    pairs.lib.ix_job_end(pairs.job, END["CANCELLED"])
    assert pairs.look(0) == "GOES_ON"
    assert pairs.look(2) == "CANCELLED"
    pairs.finish(claim)
    assert pairs.look(0) == (2, b"0;1;")


def test_an_end_wakes_the_reader(job: Map) -> None:
    job.look(0)

    def read() -> object:
        while job.look(0) == "GOES_ON":
            job.wait(0, -1)
        return job.look(0)

    call = Call(read)
    until(lambda: job.job.sleeping)
    job.lib.ix_job_end(job.job, END["CANCELLED"])
    assert call.result() == "CANCELLED"


def test_an_abandoned_job_ends_and_tells_the_claims_under_way(pairs: Map) -> None:
    pairs.seal(4)
    claim = pairs.claim()
    pairs.lib.ix_job_abandon(pairs.job)
    assert pairs.job.abandoned
    assert pairs.claim() is None
    pairs.settle(claim)
