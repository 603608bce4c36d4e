"""Every interleaving of the core's shared steps, on the compiled code itself.

The stepped variant runs its actors as coroutines and tries all schedules, or all with at most so
many preemptions. A run fails if an actor sleeps for ever without right (a lost wake-up), if an
entry is lost or taken twice, if both sides or neither act on a task, or if memory is not freed.
With IX_STRESS_SECONDS above 10 it allows more preemptions and searches for longer.
"""

import os

import pytest

from .harness import Core

DEEP = float(os.environ.get("IX_STRESS_SECONDS", "3")) > 10
LIMIT = 1_000_000  # schedules; a search that need not be whole ends earlier
SAMPLE = LIMIT if DEEP else 25_000

type Actor = tuple[str, int] | str


def explore(
    core: Core, *actors: Actor, preemptions: int | None = None, whole: bool = True, **options: int
) -> set[tuple[int | str, ...]]:
    """Run a scene in every way; return what came out: each actor's number, and the task's state.

    Unless `whole`, the search may end after many schedules; a deep one always may.
    """
    spec = core.new("struct scene_spec", count=len(actors), **options)
    for i, actor in enumerate(actors):
        name, param = (actor, 0) if isinstance(actor, str) else actor
        spec.actors[i].body = getattr(core.lib, f"ACT_{name}")
        spec.actors[i].param = param
    summary = core.new("struct stepped_summary")
    limit = LIMIT if whole else SAMPLE
    core.lib.stepped_explore(spec, -1 if preemptions is None else preemptions, limit, summary)
    worst = summary.worst
    if worst.verdict != core.lib.RUN_FINISHED:
        schedule = [int(worst.steps[i].choice) for i in range(worst.count)]
        fault = core.ffi.string(worst.fault).decode() if worst.fault else "it goes on and on"
        pytest.fail(f"{fault}: {actors} by the schedule {schedule}")
    assert summary.runs < limit or not whole or DEEP, "too many schedules: bound the preemptions"
    states = ["PENDING", "RUNNING", "DONE", "CANCELLED"]
    return {
        (
            *(int(summary.results[i] >> 8 * actor & 255) for actor in range(len(actors))),
            states[summary.results[i] >> 56],
        )
        for i in range(summary.count)
    }


# Of the state word, which a RUN's result shows with 1 for "ran".
WAITED, OBSERVED, LOUD, ABANDONED = 4, 8, 16, 32
RAN = 1
WOKEN, TIMED_OUT, INTERRUPTED = 1, 2, 3  # results of WAIT and JOIN

# ---- a task ----


def test_a_start_and_a_cancel_exclude_each_other(stepped: Core) -> None:
    assert explore(stepped, "RUN", "CANCEL") == {(RAN, 0, "DONE"), (0, 1, "CANCELLED")}


def test_of_two_cancels_one_succeeds(stepped: Core) -> None:
    assert explore(stepped, "RUN", "CANCEL", "CANCEL") == {
        (RAN, 0, 0, "DONE"),
        (0, 1, 0, "CANCELLED"),
        (0, 0, 1, "CANCELLED"),
    }


def test_exactly_one_side_acts_on_an_observed_task(stepped: Core) -> None:
    assert explore(stepped, "RUN", ("FLAG", OBSERVED)) == {
        (RAN | OBSERVED, 1, "DONE"),  # the worker
        (RAN, 0, "DONE"),  # the owner
    }


def test_a_task_is_finished_or_abandoned(stepped: Core) -> None:
    assert explore(stepped, "RUN", "ABANDON") == {
        (RAN, 0, "DONE"),  # too late, or too early
        (ABANDONED, 1, "DONE"),
    }


def test_of_two_that_abandon_a_task_one_succeeds(stepped: Core) -> None:
    assert explore(stepped, "RUN", "ABANDON", "ABANDON") == {
        (RAN, 0, 0, "DONE"),
        (ABANDONED, 1, 0, "DONE"),
        (ABANDONED, 0, 1, "DONE"),
    }


def test_exactly_one_side_acts_on_an_abandoned_task(stepped: Core) -> None:
    assert explore(stepped, "RUN", "ABANDON", ("FLAG", OBSERVED)) == {
        (RAN | OBSERVED, 0, 1, "DONE"),  # the worker
        (ABANDONED, 1 | OBSERVED, 1, "DONE"),  # who abandons it
        (RAN, 0, 0, "DONE"),  # the owner
        (ABANDONED, 1, 0, "DONE"),  # likewise
    }
    explore(stepped, "RUN", "ABANDON", ("FLAG", OBSERVED), "NOTIFY", preemptions=3)


def test_no_wait_misses_that_a_task_is_abandoned(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", "ABANDON", ("WAIT", -1))
    assert {waited for _, _, waited, _ in outcomes} == {WOKEN}


def test_a_task_is_cancelled_or_abandoned_or_finished(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", "CANCEL", "ABANDON")
    assert outcomes == {(RAN, 0, 0, "DONE"), (ABANDONED, 0, 1, "DONE"), (0, 1, 0, "CANCELLED")}


def test_flags_of_two_threads_are_both_seen_or_refused(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", ("FLAG", OBSERVED), ("FLAG", LOUD))
    for ran, observed, loud, _ in outcomes:
        assert isinstance(ran, int)
        assert (bool(ran & OBSERVED), bool(ran & LOUD)) == (observed, loud)


def test_a_cancelled_task_is_the_owners_whatever_the_flags(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", "CANCEL", ("FLAG", OBSERVED))
    assert outcomes == {
        (RAN, 0, 0, "DONE"),
        (RAN | OBSERVED, 0, 1, "DONE"),
        (0, 1, 0, "CANCELLED"),
        (0, 1, 1, "CANCELLED"),
    }


def test_no_wait_misses_the_end_of_a_run(stepped: Core) -> None:
    assert explore(stepped, "RUN", ("WAIT", -1)) == {
        (RAN, WOKEN, "DONE"),
        (RAN | WAITED, WOKEN, "DONE"),
    }


def test_no_wait_misses_a_cancel(stepped: Core) -> None:
    assert explore(stepped, "CANCEL", ("WAIT", -1)) == {(1, WOKEN, "CANCELLED")}


def test_no_wait_misses_the_end_while_both_race(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", "CANCEL", ("WAIT", -1))
    assert {waited for _, _, waited, _ in outcomes} == {WOKEN}


def test_flags_set_meanwhile_make_no_wait_miss_the_end(stepped: Core) -> None:
    bound = None if DEEP else 6
    outcomes = explore(stepped, "RUN", ("FLAG", OBSERVED), ("WAIT", -1), preemptions=bound)
    assert {waited for _, _, waited, _ in outcomes} == {WOKEN}


def test_no_wait_of_two_misses_the_end(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", ("WAIT", -1), ("WAIT", -1), preemptions=None if DEEP else 5)
    assert {outcome[1:3] for outcome in outcomes} == {(WOKEN, WOKEN)}


def test_a_wait_with_a_timeout_ends_by_one_or_the_other(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", ("WAIT", 5), timeouts=2)
    assert {waited for _, waited, _ in outcomes} == {WOKEN, TIMED_OUT}


def test_a_wait_that_is_interrupted_says_so_unless_the_task_is_over(stepped: Core) -> None:
    outcomes = explore(stepped, "RUN", ("WAIT", -1), interrupts=2)
    assert {waited for _, waited, _ in outcomes} == {WOKEN, INTERRUPTED}


def test_a_wait_for_nobody_lasts(stepped: Core) -> None:
    assert explore(stepped, ("WAIT", 5), timeouts=1) == {(TIMED_OUT, "PENDING")}


# ---- the outbox ----


@pytest.mark.parametrize("deputy", [0, 1])
def test_an_observed_task_is_delivered_once(stepped: Core, deputy: int) -> None:
    explore(stepped, ("RUN", deputy), ("FLAG", OBSERVED), "NOTIFY")


def test_a_deputy_and_the_notifier_share_the_outbox(stepped: Core) -> None:
    explore(stepped, ("RUN", 1), ("FLAG", OBSERVED), ("DROP", 0), "NOTIFY", preemptions=2)


def test_the_notifier_sleeps_no_task_away(stepped: Core) -> None:
    explore(stepped, ("DROP", 0), "NOTIFY")
    explore(stepped, ("DROP", 0), ("DROP", 1), "NOTIFY", preemptions=6 if DEEP else 4)


def test_a_wake_up_for_nothing_loses_no_task(stepped: Core) -> None:
    explore(stepped, ("DROP", 0), "NOTIFY", interrupts=2)


def test_the_notifier_ends_with_the_outbox_and_takes_what_it_can(stepped: Core) -> None:
    outcomes = explore(stepped, ("DROP", 0), "NOTIFY", "CLOSE_OUTBOX")
    assert {taken for _, taken, _, _ in outcomes} <= {0, 1}


# ---- the queue ----

CLOSE, BREAK, CLEAR, CLEAR_FIRST = 4, 2, 8, 1


@pytest.mark.parametrize("spins", [0, 4])
def test_a_push_reaches_a_worker_that_is_about_to_sleep(stepped: Core, spins: int) -> None:
    explore(stepped, "WORK", ("PUSH", 1), entries=1, spins=spins)


def test_a_worker_that_wakes_for_nothing_sleeps_on(stepped: Core) -> None:
    explore(stepped, "WORK", ("PUSH", 1), entries=1, interrupts=2)


def test_two_pushes_reach_one_worker(stepped: Core) -> None:
    explore(stepped, "WORK", ("PUSH", 2), entries=2, preemptions=None if DEEP else 6)


@pytest.mark.parametrize("cores", [1, 2])
def test_throttled_wake_ups_forget_no_entry(stepped: Core, cores: int) -> None:
    bound = 4 if DEEP else 2
    for pushes in [[("PUSH", 3)], [("PUSH", 1), ("PUSH", 2)]]:
        actors: list[Actor] = ["WORK", "WORK", *pushes]
        explore(stepped, *actors, preemptions=bound, entries=3, cores=cores)


def test_a_nap_loses_no_entry(stepped: Core) -> None:
    outcomes = explore(stepped, "WORK", ("PUSH", 1), entries=1, streak=8, timeouts=1)
    assert {pushed for _, pushed, _ in outcomes} == {1}
    explore(
        stepped,
        *["WORK"] * 2,
        ("PUSH", 2),
        entries=2,
        streak=8,
        timeouts=2,
        preemptions=3 if DEEP else 2,
    )


def test_who_waits_rouses_a_worker_from_its_nap(stepped: Core) -> None:
    """No nap ends by itself here."""
    explore(stepped, "WORK", ("PUSH_AND_AWAIT", 1), entries=1, streak=8)
    explore(
        stepped,
        *["WORK"] * 2,
        ("PUSH_AND_AWAIT", 2),
        entries=2,
        streak=8,
        preemptions=3 if DEEP else 2,
    )


@pytest.mark.parametrize("end", [CLOSE, CLOSE | CLEAR])
def test_workers_that_nap_leave_in_the_end(stepped: Core, end: int) -> None:
    explore(
        stepped,
        *["WORK"] * 2,
        ("PUSH", 1),
        ("END_QUEUE", end),
        entries=1,
        streak=8,
        timeouts=2,
        preemptions=2,
        whole=False,
    )


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("first", ["STALL", "WORK"])
def test_a_worker_that_does_not_come_keeps_no_entry_waiting(
    stepped: Core, first: str, cores: int
) -> None:
    """Whoever of the two parked last: what the one that stalls is woken for, the other takes."""
    second = "WORK" if first == "STALL" else "STALL"
    bound = 4 if DEEP else 3
    explore(stepped, first, second, ("PUSH", 2), entries=2, cores=cores, preemptions=bound)
    place = int(second == "STALL")
    explore(
        stepped,
        first,
        second,
        ("PUSH", 1),
        ("NUDGE", place),
        entries=1,
        cores=cores,
        preemptions=bound - 1,
    )


@pytest.mark.parametrize("end", [CLOSE, BREAK | CLEAR, CLOSE | CLEAR, CLEAR_FIRST | CLOSE])
def test_every_worker_leaves_in_the_end_and_no_entry_is_lost(stepped: Core, end: int) -> None:
    explore(
        stepped,
        "WORK",
        "WORK",
        ("PUSH", 2),
        ("END_QUEUE", end),
        entries=2,
        preemptions=2,
        whole=False,
    )


@pytest.mark.parametrize("end", [CLOSE, BREAK | CLEAR, CLOSE | CLEAR])
def test_a_job_in_hand_keeps_or_lets_go_every_worker(stepped: Core, end: int) -> None:
    """Two jobs of two turns, which workers take and put back while the queue ends."""
    explore(
        stepped,
        *["WORK"] * 4,
        ("END_QUEUE", end),
        jobs=2,
        before=2,
        preemptions=1,
        whole=False,
    )


def test_a_join_waits_for_every_worker(stepped: Core) -> None:
    outcomes = explore(
        stepped, "WORK", ("END_QUEUE", CLOSE), "JOIN", entries=1, before=1, preemptions=3
    )
    assert {joined for _, _, joined, _ in outcomes} == {WOKEN}


def test_a_join_sees_no_gap_between_a_worn_worker_and_its_successor(stepped: Core) -> None:
    explore(
        stepped,
        ("WORK", 1),
        ("END_QUEUE", CLOSE),
        "JOIN",
        entries=3,
        before=3,
        preemptions=3 if DEEP else 2,
    )


# ---- a map ----


def test_a_reader_misses_no_range(stepped: Core) -> None:
    outcomes = explore(stepped, "PUBLISH", "READ", items_each=1)
    assert {read for _, read, _ in outcomes} == {2}


def test_a_reader_misses_no_range_of_two_workers(stepped: Core) -> None:
    outcomes = explore(
        stepped, "PUBLISH", "PUBLISH", "READ", items_each=1, preemptions=4 if DEEP else 2
    )
    assert {read for _, _, read, _ in outcomes} == {3}


def test_what_a_reader_collects_is_not_published_again(stepped: Core) -> None:
    outcomes = explore(
        stepped, "PUBLISH", "READ", items_each=3, timeouts=2, preemptions=5 if DEEP else 3
    )
    assert {read for _, read, _ in outcomes} == {4}


def test_a_map_that_ends_still_gives_what_was_claimed(stepped: Core) -> None:
    outcomes = explore(
        stepped, "PUBLISH", "END_MAP", "READ", items_each=1, preemptions=4 if DEEP else 3
    )
    assert {read for _, _, read, _ in outcomes} == {2}


def test_a_claim_is_settled_or_forsaken(stepped: Core) -> None:
    """The reader gets every outcome: of a forsaken claim, one is its owner's, and ends the map."""
    outcomes = explore(
        stepped, ("PUBLISH", 1), ("FORSAKE", 0), "READ", items_each=2, preemptions=4 if DEEP else 3
    )
    for settled, forsaken, read, _ in outcomes:
        assert settled == 1 + int(forsaken)
        assert read == 3 or forsaken
    assert {forsaken for _, forsaken, _, _ in outcomes} == {0, 1}


# ---- the gate ----


def test_nobody_is_inside_once_the_gate_is_closed(stepped: Core) -> None:
    outcomes = explore(stepped, "VISIT", "CLOSE_GATE")
    assert {visited for visited, _, _ in outcomes} == {0, 1}
    explore(stepped, "VISIT", "VISIT", "CLOSE_GATE", preemptions=None if DEEP else 5)


def test_a_wake_up_for_nothing_opens_no_gate(stepped: Core) -> None:
    explore(stepped, "VISIT", "CLOSE_GATE", interrupts=2)


# ---- the alarm ----


def test_the_watchdog_sleeps_no_deadline_away(stepped: Core) -> None:
    assert explore(stepped, ("SET_ALARM", 1), "WATCH") == {(1, 1, "PENDING")}
    explore(
        stepped,
        ("SET_ALARM", 1),
        ("SET_ALARM", 1),
        "WATCH",
        preemptions=5 if DEEP else 3,
    )
