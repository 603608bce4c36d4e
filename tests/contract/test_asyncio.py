"""asyncio on top of the executor: awaiting, gathering, cancelling, and the default executor."""

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from typing import Any

import pytest

from . import tasks
from .differences import differs
from .rig import PATIENCE, Rig


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await coroutine

    return asyncio.run(bounded())


def test_run_in_executor_returns_the_result(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(executor, tasks.add, 1, 2)

    assert _run(main()) == 3


def test_run_in_executor_raises_the_exception(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(executor, tasks.fail, ValueError, "awaited")

    with pytest.raises(ValueError, match="awaited"):
        _run(main())


def test_many_awaits_are_gathered_in_order(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(executor, tasks.echo, number) for number in range(200)]
        return await asyncio.gather(*jobs)

    assert _run(main()) == list(range(200))


def test_the_loop_goes_on_while_a_task_runs(rig: Rig) -> None:
    executor = rig.executor()
    gate, inbox = rig.gate(), rig.inbox()

    async def main() -> tuple[list[int], Any]:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(executor, tasks.hold, inbox.path, gate.path, "held")
        ticks = []
        for number in range(5):
            await asyncio.sleep(0)
            ticks.append(number)
        assert not job.done()
        gate.open()
        return ticks, await job

    assert _run(main()) == ([0, 1, 2, 3, 4], "held")


def test_one_await_after_another(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        total = 0
        for number in range(50):
            total += await loop.run_in_executor(executor, tasks.echo, number)
        return total

    assert _run(main()) == 1225


def test_wrap_future_awaits_what_submit_returned(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    queued = executor.submit(tasks.echo, "queued")

    async def main() -> list[Any]:
        wrapped = [asyncio.wrap_future(future) for future in (held, queued)]
        gate.open()
        return await asyncio.gather(*wrapped)

    assert _run(main()) == [0, "queued"]


def test_wrap_future_of_a_finished_future(rig: Rig) -> None:
    future = rig.executor().submit(tasks.echo, "done before")
    concurrent.futures.wait([future])

    async def main() -> Any:
        return await asyncio.wrap_future(future)

    assert _run(main()) == "done before"


def test_cancelling_the_await_cancels_a_waiting_task(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    futures = [executor.submit(tasks.nothing) for _ in range(5)]

    async def main() -> bool:
        wrapped = asyncio.wrap_future(futures[-1])
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        await asyncio.sleep(0)  # the loop passes the cancellation on in its next round
        return bool(futures[-1].cancelled())

    assert _run(main())
    gate.open()


def test_cancelling_the_await_leaves_a_running_task_alone(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)

    async def main() -> None:
        wrapped = asyncio.wrap_future(held)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    _run(main())
    assert held.running()
    gate.open()
    assert held.result() == 0


def test_cancelling_a_gather_cancels_what_waits(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    futures = [executor.submit(tasks.nothing) for _ in range(6)]

    async def main() -> None:
        gathered = asyncio.gather(*(asyncio.wrap_future(future) for future in futures))
        gathered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathered

    _run(main())
    prefetched = 2 if differs(rig.lane.name, "a waiting task can always be cancelled") else 0
    assert sum(not future.cancelled() for future in futures) <= prefetched
    gate.open()


def test_a_future_cancelled_outside_cancels_the_await(rig: Rig) -> None:
    executor = rig.executor()
    gate, _ = rig.occupy(executor)
    future = [executor.submit(tasks.nothing) for _ in range(5)][-1]

    async def main() -> None:
        wrapped = asyncio.wrap_future(future)
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped

    _run(main())
    gate.open()


def test_a_timeout_leaves_the_loop_and_the_executor_usable(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)
    gate, [held] = rig.occupy(executor)

    async def main() -> Any:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(held), 0.01)
        return await asyncio.get_running_loop().run_in_executor(executor, tasks.echo, "after")

    assert _run(main()) == "after"
    gate.open()


def test_a_loop_that_closes_first_does_no_harm(rig: Rig) -> None:
    executor = rig.executor()
    gate, [held] = rig.occupy(executor)
    loop = asyncio.new_event_loop()

    async def start() -> None:
        asyncio.wrap_future(held)

    loop.run_until_complete(start())
    loop.close()
    gate.open()
    assert held.result() == 0
    assert executor.submit(tasks.echo, 1).result() == 1


def test_several_loops_share_one_executor(rig: Rig) -> None:
    executor = rig.executor(max_workers=2)

    async def main(start: int) -> list[Any]:
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(executor, tasks.echo, start + i) for i in range(20)]
        return await asyncio.gather(*jobs)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(_run, main(start)) for start in (0, 100)]
        results = [run.result(timeout=PATIENCE) for run in runs]
    assert results == [list(range(20)), list(range(100, 120))]


def test_the_loop_takes_it_as_default_executor(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor)
        result = await loop.run_in_executor(None, tasks.whereabouts)
        await loop.shutdown_default_executor()
        return result

    if differs(rig.lane.name, "asyncio takes it as default executor"):
        with pytest.raises(TypeError, match="executor must be ThreadPoolExecutor instance"):
            _run(main())
    else:
        there = _run(main())
        same = differs(rig.lane.name, "tasks share nothing with the caller")
        assert (there == tasks.whereabouts()) == same


def test_to_thread_runs_in_the_default_executor(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> Any:
        asyncio.get_running_loop().set_default_executor(executor)
        return await asyncio.to_thread(tasks.arguments, 1, key=2)

    assert _run(main()) == ((1,), {"key": 2})


def test_to_thread_takes_context_variables_along(rig: Rig) -> None:
    executor = rig.executor()

    async def main() -> Any:
        asyncio.get_running_loop().set_default_executor(executor)
        tasks.context_value.set("from the caller")
        return await asyncio.to_thread(tasks.read_context)

    assert _run(main()) == "from the caller"
