"""The model keeps its promises in every interleaving, and the compiled core makes its steps."""

from collections.abc import Callable

import pytest

from . import model
from .harness import CData, Core
from .model import Body, Run, World

# ---- what must hold at the end of a run ----


def one_acts(run: Run) -> None:
    """A task is run or cancelled, and then delivered by one side exactly."""
    state = run.world.task & model.STATE
    assert state in {model.DONE, model.CANCELLED}


def nobody_sleeps(run: Run) -> None:
    """No wake-up was lost: whoever waited has come back."""
    assert run.asleep == [None] * len(run.asleep)


def notifier_alone_sleeps(run: Run) -> None:
    """The notifier waits for more, and the outbox is empty."""
    assert set(run.asleep) == {None, "outbox"}
    assert run.world.left == []


def worker_alone_sleeps(run: Run) -> None:
    """The worker waits for more, and the queue is empty."""
    assert set(run.asleep) == {None, "seat"}
    assert run.world.queued == 0


def fixed(body: Callable[..., model.Steps[int]], *args: int) -> Body:
    return lambda world: body(world, *args)


# ---- scenes: how the model and the compiled core name the actors ----

RUN = ("RUN", 0, model.run)
CANCEL = ("CANCEL", 0, model.cancel)
ABANDON = ("ABANDON", 0, model.abandon)
OBSERVE = ("FLAG", model.OBSERVED, fixed(model.flag, model.OBSERVED))
LOUD = ("FLAG", model.LOUD, fixed(model.flag, model.LOUD))
WAIT = ("WAIT", -1, model.wait)
NOTIFY = ("NOTIFY", 0, model.notify)
DROP = ("DROP", 0, fixed(model.drop, 0))
CLOSE_OUTBOX = ("CLOSE_OUTBOX", 0, model.close_outbox)
WORK = ("WORK", 0, model.work)
PUSH = ("PUSH", 1, fixed(model.push, 1))
CLOSE = ("END_QUEUE", 4, model.close_queue)

type Actor = tuple[str, int, Body]

SCENES: dict[str, tuple[list[Actor], int, Callable[[Run], None]]] = {
    "start, finish and cancel": ([RUN, CANCEL], 0, one_acts),
    "two cancels": ([RUN, CANCEL, CANCEL], 0, one_acts),
    "start, finish and flag": ([RUN, OBSERVE], 0, one_acts),
    "start, finish and abandon": ([RUN, ABANDON], 0, one_acts),
    "finish, abandon and flag": ([RUN, ABANDON, OBSERVE], 0, one_acts),
    "finish, abandon and wait": ([RUN, ABANDON, WAIT], 0, nobody_sleeps),
    "two flags": ([RUN, OBSERVE, LOUD], 0, one_acts),
    "cancel and flag": ([RUN, CANCEL, OBSERVE], 0, one_acts),
    "finish and wait": ([RUN, WAIT], 0, nobody_sleeps),
    "cancel and wait": ([CANCEL, WAIT], 0, nobody_sleeps),
    "cancel, flag and wait": ([CANCEL, LOUD, WAIT], 0, nobody_sleeps),
    "finish, cancel and wait": ([RUN, CANCEL, WAIT], 0, nobody_sleeps),
    "an interrupted wait": ([RUN, WAIT], 2, nobody_sleeps),
    "push, ring and wait": ([DROP, NOTIFY], 0, notifier_alone_sleeps),
    "a notifier woken for nothing": ([DROP, NOTIFY], 1, notifier_alone_sleeps),
    "a closing outbox": ([NOTIFY, CLOSE_OUTBOX], 0, nobody_sleeps),
    "watch, sleep and notify": ([WORK, PUSH], 0, worker_alone_sleeps),
    "a worker woken for nothing": ([WORK, PUSH], 2, worker_alone_sleeps),
    "a closing queue": ([WORK, CLOSE], 0, nobody_sleeps),
}


def check_task(run: Run, names: list[str]) -> None:
    """The results agree with one another: exactly one side has acted."""
    results = dict(zip(names, run.results, strict=True))
    if "RUN" not in results:
        return
    ran = results["RUN"]
    cancelled = sum(
        result or 0 for name, result in zip(names, run.results, strict=True) if name == "CANCEL"
    )
    abandoned = results.get("ABANDON") or 0
    assert ran is not None and bool(ran) + cancelled == 1
    assert (ran == model.ABANDONED) == bool(abandoned)
    ran |= abandoned
    assert run.world.left == ([-1] if ran & model.OBSERVED else [])
    if "FLAG" in results and names.count("FLAG") == 1 and ran:
        assert bool(ran & (model.OBSERVED | model.LOUD)) == bool(results["FLAG"])


class Compiled:
    """A scene of the stepped variant, to be run by the model's schedules."""

    def __init__(self, core: Core, actors: list[Actor], interrupts: int) -> None:
        self._core = core
        self._spec = core.new("struct scene_spec", count=len(actors), entries=1)
        self._spec.interrupts = interrupts
        self._run: CData = core.new("struct stepped_run")
        for i, (name, param, _) in enumerate(actors):
            self._spec.actors[i].body = getattr(core.lib, f"ACT_{name}")
            self._spec.actors[i].param = param

    def follow(self, run: Run) -> None:
        """Run by the schedule of the model's run: each step must be the same."""
        made = self._run
        self._core.lib.stepped_run(self._spec, bytes(run.choices), len(run.choices), made)
        steps = [made.steps[i] for i in range(made.count)]
        assert [int(step.enabled) for step in steps] == run.enabled, run.choices
        assert [tuple(step.words) for step in steps] == run.words, run.choices
        assert made.verdict == self._core.lib.RUN_FINISHED
        for i, result in enumerate(run.results):
            assert result is None or made.result >> 8 * i & 255 == result

    def count(self) -> int:
        """How many runs the compiled core has by its own enumeration."""
        summary = self._core.new("struct stepped_summary")
        self._core.lib.stepped_explore(self._spec, -1, 10_000_000, summary)
        return int(summary.runs)


@pytest.mark.parametrize("scene", SCENES)
def test_the_model_keeps_its_promises_in_every_interleaving(scene: str) -> None:
    actors, interrupts, promise = SCENES[scene]
    count = 0
    for run in model.schedules([body for _, _, body in actors], interrupts):
        promise(run)
        check_task(run, [name for name, _, _ in actors])
        count += 1
    assert count > 1


@pytest.mark.parametrize("scene", SCENES)
def test_the_compiled_core_makes_the_steps_of_the_model(stepped: Core, scene: str) -> None:
    actors, interrupts, _ = SCENES[scene]
    compiled = Compiled(stepped, actors, interrupts)
    count = 0
    for run in model.schedules([body for _, _, body in actors], interrupts):
        compiled.follow(run)
        count += 1
    assert count == compiled.count()


# ---- the proof can fail: protocols with a known hole are found out ----


def hasty_wait(world: World) -> model.Steps[int]:
    """Sleeps without having said so first."""
    yield None
    word = world.task
    if not word & model.TERMINAL:
        yield from model.park("task", lambda: world.task == word)
    return model.WOKEN


def deaf_notifier(world: World) -> model.Steps[int]:
    """Does not look again after saying that it is asleep."""
    yield None
    if not world.left:
        yield None
        world.outbox = model.ASLEEP
        yield from model.park("outbox", lambda: world.outbox == model.ASLEEP)
    return 0


def careless_finish(world: World) -> model.Steps[int]:
    """Looks at the flags before it publishes instead of by the same operation."""
    if (yield from model.leave_pending(world, model.RUNNING)) is None:
        return 0
    yield None
    flags = world.task & ~model.STATE
    yield None
    world.task = model.DONE
    if flags & model.WAITED:
        yield from model.wake(world, "task")
    return 1 | flags


@pytest.mark.parametrize(
    ("bodies", "word"),
    [
        ([model.run, hasty_wait], "task"),
        ([careless_finish, model.wait], "task"),
        ([fixed(model.drop, 0), deaf_notifier], "outbox"),
    ],
)
def test_a_protocol_with_a_hole_is_found_out(bodies: list[Body], word: str) -> None:
    lost = [run for run in model.schedules(bodies) if word in run.asleep]
    assert lost
