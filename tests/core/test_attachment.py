"""Attachments come back to their home, once, by whoever lets go of them last."""

import threading

from .harness import Call, CData, Core, until
from .job_rig import Map

OWNER = 0x1000


class Home:
    """An interpreter that lends things: the owners are numbers."""

    def __init__(self, core: Core) -> None:
        self.core, self.lib, self.ffi = core, core.lib, core.ffi
        self.releases = self.lib.ix_releases_new()
        assert self.releases

    def lend(self, kind: str = "BYTES", owner: int = OWNER, length: int = 10) -> CData:
        """Return an attachment with one reference and an owner here."""
        attachment = self.new(kind)
        attachment.length = length
        self.lib.ix_attachment_adopt(attachment, self.releases, self.ffi.cast("void *", owner))
        return attachment

    def new(self, kind: str) -> CData:
        attachment = self.lib.ix_attachment_new(
            getattr(self.lib, f"IX_ATTACHED_{kind}"), 0, self.ffi.new("char[]", b"B")
        )
        assert attachment
        return attachment

    def drain(self) -> list[int]:
        """Take what has come back; return the owners."""
        owners = []
        attachment = self.lib.ix_releases_take(self.releases)
        while attachment:
            following = attachment.next
            owners.append(int(self.ffi.cast("uintptr_t", self.lib.ix_attachment_free(attachment))))
            attachment = following
        return owners

    def close(self) -> None:
        self.lib.ix_releases_release(self.releases)


def listed(home: Home, *attachments: CData) -> CData:
    """Return a pointer to a list of these."""
    place = home.ffi.new("struct ix_attachments **")
    for attachment in attachments:
        assert home.lib.ix_attachments_add(place, attachment)
    return place[0]


def test_the_last_reference_brings_the_owner_home(core: Core) -> None:
    home = Home(core)
    attachment = home.lend()
    core.lib.ix_attachment_acquire(attachment)
    core.lib.ix_attachment_release(attachment)
    assert home.drain() == []
    assert home.releases.lent == 1
    core.lib.ix_attachment_release(attachment)
    assert core.lib.ix_releases_pending(home.releases)
    assert home.drain() == [OWNER]
    assert home.releases.lent == 0
    home.close()


def test_a_part_holds_the_whole(core: Core) -> None:
    home = Home(core)
    whole, part = home.lend("VIEW"), home.new("VIEW")
    part.base = whole
    core.lib.ix_attachment_release(part)
    assert home.drain() == [OWNER]
    home.close()


def test_memory_of_its_own_is_freed_with_it(core: Core) -> None:
    home = Home(core)
    attachment = home.new("SHARED")
    assert core.lib.ix_attachment_allocate(attachment, 1000, True)
    assert bytes(core.ffi.buffer(attachment.data, 1000)) == bytes(1000)
    core.lib.ix_attachment_release(attachment)  # the fixture counts the blocks
    home.close()


def test_a_layout_is_copied_without_the_owner(core: Core) -> None:
    home = Home(core)
    attachment = home.lend("VIEW", length=5)
    copy = core.lib.ix_attachment_layout(attachment)
    assert core.ffi.string(core.lib.ix_attachment_format(copy)) == b"B"
    core.lib.ix_attachment_release(attachment)
    assert copy.length == 5
    core.lib.ix_attachment_release(copy)
    assert home.drain() == [OWNER]
    home.close()


def test_what_comes_back_to_a_home_that_has_ended_is_dropped(core: Core) -> None:
    home = Home(core)
    attachment = home.lend()
    home.releases.closed = True
    home.close()  # the attachment's reference is left
    core.lib.ix_attachment_release(attachment)


def test_a_home_that_sleeps_is_woken(core: Core) -> None:
    home = Home(core)
    attachment = home.lend()
    call = Call(core.lib.ix_releases_sleep, home.releases, home.releases.version)
    until(lambda: home.releases.sleeping == 1)
    core.lib.ix_attachment_release(attachment)
    call.result()
    assert home.drain() == [OWNER]
    home.close()


def test_a_home_is_dismissed(core: Core) -> None:
    home = Home(core)
    call = Call(core.lib.ix_releases_sleep, home.releases, home.releases.version)
    until(lambda: home.releases.sleeping == 1)
    core.lib.ix_releases_dismiss(home.releases)
    call.result()
    assert home.releases.dismissed
    home.close()


def test_a_list_tells_what_is_copied_lent_and_shared(core: Core) -> None:
    home = Home(core)
    read_only = home.lend("VIEW", length=100)
    read_only.readonly = True
    attachments = listed(home, home.lend("TEXT", length=7), read_only)
    assert (attachments.copied, attachments.lent, attachments.shared) == (7, 100, False)
    place = core.ffi.new("struct ix_attachments **", attachments)
    for _ in range(10):
        assert core.lib.ix_attachments_add(place, home.lend("QUEUE"))
    attachments = place[0]
    assert (attachments.count, attachments.shared) == (12, True)
    core.lib.ix_attachments_cut(attachments, 1)
    assert (attachments.copied, attachments.lent, attachments.shared) == (7, 0, False)
    assert len(home.drain()) == 11
    core.lib.ix_attachments_free(attachments)
    assert home.drain() == [OWNER]
    home.close()


def test_a_list_without_memory_gives_the_reference_back(core: Core) -> None:
    home = Home(core)
    place = core.ffi.new("struct ix_attachments **")
    attachment = home.lend()
    with core.failing_allocation():
        assert not core.lib.ix_attachments_add(place, attachment)
    assert home.drain() == [OWNER]
    home.close()


def test_a_task_gives_its_attachments_back_with_its_data(core: Core) -> None:
    home = Home(core)
    buffer = core.buffer(b"message")
    buffer.attachments = listed(home, home.lend())
    task = core.lib.ix_task_new(core.ffi.NULL, buffer)
    assert not buffer.attachments
    core.lib.ix_task_drop_data(task)
    assert home.drain() == [OWNER]
    core.lib.ix_task_release(task)
    home.close()


def outcome(home: Home, data: bytes, owner: int) -> CData:
    """Return a buffer with an outcome that refers to something lent by `owner`."""
    buffer = home.core.buffer(data)
    buffer.attachments = listed(home, home.lend(owner=owner))
    return buffer


def test_outcomes_of_a_claim_are_published_with_their_attachments(pairs: Map) -> None:
    home, job = Home(pairs.core), pairs
    job.seal(2)
    claim = job.claim()
    assert claim is not None
    assert job.lib.ix_claim_add(job.job, claim, outcome(home, b"a", 1))
    assert job.lib.ix_claim_add(job.job, claim, outcome(home, b"b", 2))
    job.lib.ix_claim_settle(job.job, claim, False)
    assert home.drain() == []
    job.lib.ix_job_drop_before(job.job, 2)
    assert sorted(home.drain()) == [1, 2]
    home.close()


def test_what_a_reader_collects_early_has_its_own_attachments(pairs: Map) -> None:
    home, job = Home(pairs.core), pairs
    job.seal(2)
    claim = job.claim()
    assert claim is not None
    assert job.lib.ix_claim_add(job.job, claim, outcome(home, b"a", 1))
    version = job.job.version
    job.lib.ix_claim_wait(job.job, 0, version, -1)  # impatient after a moment: it collects
    assert not claim.attachments
    assert job.lib.ix_claim_add(job.job, claim, outcome(home, b"b", 2))
    job.lib.ix_claim_settle(job.job, claim, True)
    job.lib.ix_job_drop_before(job.job, 2)
    assert sorted(home.drain()) == [1, 2]
    home.close()


def test_a_seat_that_waits_is_nudged_and_waits_on(core: Core) -> None:
    seat = core.new("struct ix_seat", word=core.lib.IX_SEAT_WATCHING)
    call = Call(core.lib.ix_seat_sleep, seat)
    until(lambda: seat.word == core.lib.IX_SEAT_SLEEPING)
    core.lib.ix_seat_nudge(seat)
    assert call.result() is False
    assert seat.word == core.lib.IX_SEAT_WATCHING


def test_a_seat_at_work_is_not_nudged(core: Core) -> None:
    seat = core.new("struct ix_seat", word=core.lib.IX_SEAT_NOTIFIED)
    core.lib.ix_seat_nudge(seat)
    assert seat.word == core.lib.IX_SEAT_NOTIFIED


def test_a_notifier_is_nudged(core: Core) -> None:
    outbox = core.lib.ix_outbox_new()
    call = Call(core.lib.ix_outbox_wait, outbox)
    until(lambda: outbox.word == core.lib.IX_OUTBOX_ASLEEP)
    core.lib.ix_outbox_nudge(outbox)
    assert call.result() is True
    assert outbox.word == core.lib.IX_OUTBOX_AWAKE
    core.lib.ix_outbox_close(outbox)
    core.lib.ix_outbox_nudge(outbox)
    assert not core.lib.ix_outbox_wait(outbox)
    core.lib.ix_outbox_release(outbox)


def test_threads_that_let_go_at_once_lose_nothing(core: Core) -> None:
    home = Home(core)
    lent = [home.lend(owner=OWNER + i) for i in range(400)]
    for attachment in lent:
        for _ in range(3):
            core.lib.ix_attachment_acquire(attachment)
    start = threading.Barrier(4)

    def let_go() -> None:
        start.wait()
        for attachment in lent:
            core.lib.ix_attachment_release(attachment)

    calls = [Call(let_go) for _ in range(4)]
    owners: list[int] = []
    until(lambda: owners.extend(home.drain()) or len(owners) == 400)
    for call in calls:
        call.result()
    assert sorted(owners) == [OWNER + i for i in range(400)]
    home.close()
