"""A map job, from both ends."""

from .harness import CData, Core

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
        return int(self.lib.ix_job_seal(self.job, data, count, offsets, count, self.ffi.NULL))

    def claim(self, workers: int = 1) -> CData | None:
        """Claim as a worker does, or None where there is nothing."""
        claim, more = self.core.new("struct ix_claim"), self.ffi.new("bool *")
        if not self.lib.ix_claim_take(self.job, workers, claim, more):
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
            assert self.lib.ix_claim_add(self.job, claim, buffer)
            self.lib.ix_buffer_fini(buffer)

    def settle(self, claim: CData, *, lost: bool = False) -> None:
        """End the claim."""
        self.lib.ix_claim_settle(self.job, claim, lost)

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
        return int(self.lib.ix_claim_wait(self.job, position, self.version, timeout_ns))

    def segments(self) -> int:
        """How many segments have not been dropped."""
        count, segment = 0, self.job.oldest
        while segment:
            count, segment = count + 1, segment.next
        return count
