"""Map jobs: making, sealing and claiming."""

import pytest

from .harness import MS, Core
from .job_rig import END, Map

# ---- making and freeing ----


def test_a_new_job_has_nothing_to_claim(job: Map) -> None:
    assert job.claim() is None
    assert job.look(0) == "GOES_ON"
    assert job.job.entry.kind == job.lib.IX_ENTRY_JOB


def test_a_job_keeps_its_callable_and_lives_until_its_last_reference(core: Core) -> None:
    callable_ = core.lib.ix_callable_new(1, 0, b"code", 4)
    job = core.lib.ix_job_new(callable_, 2, 0)
    core.lib.ix_callable_release(callable_)
    core.lib.ix_job_acquire(job)
    core.lib.ix_job_release(job)
    assert core.text(job.callable) == b"code"
    assert job.arity == 2
    core.lib.ix_job_release(job)


def test_without_memory_or_mutex_there_is_no_job(core: Core) -> None:
    with core.failing_allocation():
        assert core.lib.ix_job_new(core.ffi.NULL, 1, 0) == core.ffi.NULL
    core.lib.ix_test_fail_mutex(11)
    assert core.lib.ix_job_new(core.ffi.NULL, 1, 0) == core.ffi.NULL


def test_a_released_job_frees_segments_and_ranges_that_nobody_read(core: Core) -> None:
    job = Map(core, chunksize=3)
    job.seal(6), job.seal(2)
    claim = job.claim()
    assert claim is not None
    job.finish(claim)
    core.lib.ix_job_release(job.job)  # the fixture counts the blocks


# ---- sealing ----


def test_the_first_segment_asks_for_the_queue_and_the_next_do_not(job: Map) -> None:
    assert [job.seal(2), job.seal(2)] == [1, 0]
    assert (job.job.sealed, job.job.unclaimed) == (4, 4)


def test_a_job_that_was_exhausted_asks_for_the_queue_again(job: Map) -> None:
    job.seal(1)
    assert job.claims() == [1]
    assert job.seal(1) == 1


def test_a_job_that_has_ended_never_asks_for_the_queue(job: Map) -> None:
    job.lib.ix_job_end(job.job, END["CANCELLED"])
    assert job.seal(1) == 0
    assert job.job.unclaimed == 0


def test_sealing_without_memory_steals_nothing(job: Map) -> None:
    data, offsets = job.core.block(b"x"), job.core.block(bytes(4))
    with job.core.failing_allocation():
        result = job.lib.ix_job_seal(
            job.job, data, 1, job.ffi.cast("uint32_t *", offsets), 1, job.ffi.NULL
        )
    assert result == -1
    job.lib.ix_test_free(data)
    job.lib.ix_test_free(offsets)


# ---- claiming ----


def test_claims_take_the_items_in_order_and_say_whether_more_are_left(pairs: Map) -> None:
    pairs.seal(5)
    found = []
    while (claim := pairs.claim()) is not None:
        found.append((int(claim.first), int(claim.index), int(claim.count), pairs.more))
        pairs.settle(claim, lost=False)
    assert found == [(0, 0, 2, True), (2, 2, 2, True), (4, 4, 1, False)]
    assert pairs.job.unclaimed == 0


def test_a_claim_never_spans_two_segments(core: Core) -> None:
    job = Map(core, chunksize=4)
    job.seal(3), job.seal(5)
    assert job.claims() == [3, 4, 1]
    core.lib.ix_job_release(job.job)


def test_an_item_of_unknown_cost_is_claimed_alone(job: Map) -> None:
    job.seal(100)
    claim = job.claim()
    assert claim is not None and claim.count == 1
    job.finish(claim)


@pytest.mark.parametrize(
    ("item_ns", "size"), [(100, 1000), (1_000, 990), (10_000, 99), (999_999, 1), (50 * MS, 1)]
)
def test_claims_take_about_a_millisecond(job: Map, item_ns: int, size: int) -> None:
    job.seal(1000)
    job.lib.ix_job_measure(job.job, 1, item_ns)
    claim = job.claim()
    assert claim is not None
    assert claim.count == pytest.approx(size, abs=10)
    job.finish(claim)


def test_claims_grow_with_what_was_measured(job: Map) -> None:
    job.seal(1024)
    sizes = []
    for _ in range(6):
        claim = job.claim()
        assert claim is not None
        sizes.append(int(claim.count))
        job.lib.ix_job_measure(job.job, claim.count, claim.count * 20_000)
        job.finish(claim)
    assert sizes[0] == 1
    assert sizes[1:] == [pytest.approx(50, abs=2)] * 5


def test_a_slower_item_is_believed_at_once_and_a_faster_one_by_halves(job: Map) -> None:
    for elapsed, expected in [(1000, 1001), (9000, 9001), (1000, 5001), (1000, 3001)]:
        job.lib.ix_job_measure(job.job, 1, elapsed)
        assert job.job.pace.item_ns == pytest.approx(expected, abs=2)


def test_the_cost_of_an_item_is_that_of_its_claim_shared(job: Map) -> None:
    job.lib.ix_job_measure(job.job, 10, 10_000)
    assert job.job.pace.item_ns == 1001


def test_claims_are_cut_towards_the_end_so_that_all_workers_have_a_share(job: Map) -> None:
    job.seal(400)
    job.lib.ix_job_measure(job.job, 1, 9_999)  # a claim of 100, were there enough
    job.lib.ix_job_complete(job.job)
    sizes = job.claims(workers=4)
    assert sum(sizes) == 400
    assert sizes[0] == 25  # a quarter of a worker's share
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes[:-1]) == 5  # no shorter than 50 us


def test_claims_are_not_cut_while_more_items_may_come(job: Map) -> None:
    job.seal(400)
    job.lib.ix_job_measure(job.job, 1, 9_999)
    assert job.claims(workers=4) == [100, 100, 100, 100]


def test_an_explicit_chunksize_is_obeyed_whatever_the_cost(pairs: Map) -> None:
    pairs.seal(6)
    pairs.lib.ix_job_measure(pairs.job, 1, 1)
    pairs.lib.ix_job_complete(pairs.job)
    assert pairs.claims(workers=8) == [2, 2, 2]


def test_a_huge_chunksize_is_cut_to_what_a_claim_can_count(core: Core) -> None:
    job = Map(core, chunksize=2**32 - 1)
    job.seal(7)
    assert job.claims() == [7]
    core.lib.ix_job_release(job.job)


def test_nothing_is_claimed_of_a_job_that_has_ended(pairs: Map) -> None:
    pairs.seal(6)
    pairs.lib.ix_job_end(pairs.job, END["BROKEN"])
    assert pairs.claim() is None
    assert not pairs.job.queued
