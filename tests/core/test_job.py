"""Map jobs: sealing, claiming, adding, settling, collecting, reading and ending."""

from collections.abc import Iterator

import pytest

from .harness import MS, Call, CData, Core, until

END = {"GOES_ON": 0, "CANCELLED": 1, "BROKEN": 2}


class Map:
    """A job, from both ends."""

    def __init__(self, core: Core, chunksize: int = 0) -> None:
        self.core, self.lib, self.ffi = core, core.lib, core.ffi
        self.job = self.lib.ix_job_new(self.ffi.NULL, 1, chunksize)
        assert self.job

    def seal(self, count: int) -> int:
        """Append a segment of so many items."""
        data = self.core.block(bytes(count))
        offsets = self.ffi.cast("uint32_t *", self.core.block(bytes(4 * count)))
        return int(self.lib.ix_job_seal(self.job, data, count, offsets, count))

    def claim(self, workers: int = 1) -> CData | None:
        """Claim as a worker does, or None where there is nothing."""
        claim, more = self.core.new("struct ix_claim"), self.ffi.new("bool *")
        if not self.lib.ix_job_claim(self.job, workers, claim, more):
            assert not more[0]
            return None
        self.more = bool(more[0])
        return claim

    def claims(self, workers: int = 1) -> list[int]:
        """The sizes of claims until nothing is left; each is settled with its outcomes."""
        sizes = []
        while (claim := self.claim(workers)) is not None:
            sizes.append(int(claim.count))
            self.finish(claim)
        return sizes

    def add(self, claim: CData, *outcomes: bytes) -> None:
        """Add the outcomes of the claim's next items."""
        for outcome in outcomes:
            buffer = self.core.buffer(outcome)
            assert self.lib.ix_job_add(self.job, claim, buffer)
            self.lib.ix_buffer_fini(buffer)

    def settle(self, claim: CData, *, lost: bool = False) -> None:
        """End the claim."""
        self.lib.ix_job_settle(self.job, claim, lost)

    def finish(self, claim: CData) -> None:
        """Add an outcome for each item and settle."""
        self.add(claim, *[b"%d;" % (claim.first + i) for i in range(claim.count)])
        self.settle(claim)

    def look(self, position: int) -> tuple[int, bytes] | str:
        """The range at a position, or why there is none."""
        version, end = self.ffi.new("uint32_t *"), self.ffi.new("enum ix_job_end *")
        found = self.lib.ix_job_range(self.job, position, version, end)
        self.version = int(version[0])
        if found:
            return int(found.count), self.core.text(found)
        return next(name for name, value in END.items() if value == end[0])

    def wait(self, position: int, timeout_ns: int) -> int:
        """Wait for a change after the last look."""
        return int(self.lib.ix_job_wait(self.job, position, self.version, timeout_ns))

    def segments(self) -> int:
        """How many segments have not been dropped."""
        count, segment = 0, self.job.oldest
        while segment:
            count, segment = count + 1, segment.next
        return count


@pytest.fixture
def job(core: Core) -> Iterator[Map]:
    """A job whose claims are sized by measured time."""
    job = Map(core)
    yield job
    core.lib.ix_job_release(job.job)


@pytest.fixture
def pairs(core: Core) -> Iterator[Map]:
    """A job with a chunksize of 2."""
    job = Map(core, chunksize=2)
    yield job
    core.lib.ix_job_release(job.job)


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
        result = job.lib.ix_job_seal(job.job, data, 1, job.ffi.cast("uint32_t *", offsets), 1)
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
        assert job.job.item_ns == pytest.approx(expected, abs=2)


def test_the_cost_of_an_item_is_that_of_its_claim_shared(job: Map) -> None:
    job.lib.ix_job_measure(job.job, 10, 10_000)
    assert job.job.item_ns == 1001


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
        assert not pairs.lib.ix_job_add(pairs.job, claim, buffer)
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
