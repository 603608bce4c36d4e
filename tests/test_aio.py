"""Running tasks from asyncio with interp_executor.aio."""

import asyncio
import io
import os
import socket
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import hive_tasks
import pytest

from interp_executor import InterpreterPoolExecutor, TransferError, aio


def test_run_returns_the_result_and_raises_the_error() -> None:
    async def main() -> None:
        with InterpreterPoolExecutor(1) as executor:
            assert await aio.run(executor, int, "ff", base=16) == 255
            with pytest.raises(ZeroDivisionError):
                await aio.run(executor, divmod, 1, 0)

    asyncio.run(main())


def test_map_yields_in_order_from_iterables_of_both_kinds() -> None:
    async def letters() -> AsyncIterator[str]:
        for letter in "abc":
            await asyncio.sleep(0)
            yield letter

    async def main() -> None:
        with InterpreterPoolExecutor(2) as executor:
            results = [each async for each in aio.map(executor, pow, range(100), [2] * 100)]
            assert results == [number**2 for number in range(100)]
            results = [each async for each in aio.map(executor, max, letters(), "bbbb")]
            assert results == ["b", "b", "c"]
            assert [each async for each in aio.map(executor, abs)] == []

    asyncio.run(main())


def test_map_reads_no_further_than_its_limit() -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    async def main() -> None:
        with InterpreterPoolExecutor(2) as executor:
            seen = 0
            async for _ in aio.map(executor, abs, numbers(), limit=3):
                seen += 1
                assert len(taken) <= seen + 3
            with pytest.raises(ValueError, match="at least 1"):
                await anext(aio.map(executor, abs, [1], limit=0))

    asyncio.run(main())
    assert len(taken) == 50


def test_the_first_error_of_a_map_ends_it_and_cancels_what_waits() -> None:
    async def main() -> None:
        with InterpreterPoolExecutor(1) as executor:
            results = aio.map(executor, divmod, [4] * 99, [2, 0, *[1] * 97], limit=90)
            assert await anext(results) == (2, 0)
            with pytest.raises(ZeroDivisionError):
                await anext(results)
            with pytest.raises(StopAsyncIteration):
                await anext(results)

    asyncio.run(main())


def test_closing_a_map_cancels_what_no_worker_has_taken() -> None:
    read, write = os.pipe()

    async def main() -> None:
        with InterpreterPoolExecutor(1) as executor:
            async with aclosing(aio.map(executor, abs, range(50), limit=40)) as results:
                assert await anext(results) == 0
                blocker = executor.submit(hive_tasks.read_byte, read)
            os.write(write, b"x")
            blocker.result()
            stats = executor.stats()
            assert stats.completed + stats.cancelled == stats.submitted

    asyncio.run(main())
    os.close(read)
    os.close(write)


def test_cancellation_of_a_call_that_waits_cancels_it() -> None:
    read, write = os.pipe()

    async def main() -> None:
        with InterpreterPoolExecutor(1) as executor:
            executor.submit(hive_tasks.read_byte, read)
            call = asyncio.create_task(aio.run(executor, os.write, write, b"never"))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            os.write(write, b"x")
        os.set_blocking(read, False)
        with pytest.raises(BlockingIOError):
            os.read(read, 1)

    asyncio.run(main())
    os.close(read)
    os.close(write)


def _spin_for_ever(fd: int) -> None:
    os.write(fd, b"s")
    while True:
        pass


def test_cancellation_stops_a_call_that_runs() -> None:
    read, write = os.pipe()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with InterpreterPoolExecutor(1) as executor:
            call = asyncio.create_task(aio.run(executor, _spin_for_ever, write))
            assert await loop.run_in_executor(None, os.read, read, 1) == b"s"
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await asyncio.wait_for(aio.run(executor, abs, -1), 60) == 1
            assert executor.stats().interrupted == 1

    asyncio.run(main())
    os.close(read)
    os.close(write)


def test_leaving_a_map_early_stops_what_runs() -> None:
    read, write = os.pipe()

    async def main() -> None:
        with InterpreterPoolExecutor(2) as executor:
            calls = aio.map(executor, _call, [abs, _spin_for_ever], [-1, write])
            async with aclosing(calls) as results:
                assert await anext(results) == 1
                assert await asyncio.to_thread(os.read, read, 1) == b"s"
        assert executor.stats().interrupted == 1

    asyncio.run(main())
    os.close(read)
    os.close(write)


def _call(fn: Callable[[int], object], argument: int) -> object:
    return fn(argument)


def test_one_failure_in_a_task_group_cancels_the_other_calls() -> None:
    read, write = os.pipe()

    async def main() -> None:
        with InterpreterPoolExecutor(1) as executor:
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(aio.run(executor, divmod, 1, 0))
                    group.create_task(aio.run(executor, hive_tasks.read_byte, read))
                    late = group.create_task(aio.run(executor, abs, 1))
            assert caught.group_contains(ZeroDivisionError)
            assert late.cancelled()
            os.write(write, b"x")

    asyncio.run(main())
    os.close(read)
    os.close(write)


def test_what_asyncio_itself_gives_to_its_default_executor_works_or_is_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(InterpreterPoolExecutor(1))
        if loop.get_debug():
            with pytest.raises(TransferError, match="leave asyncio's debug mode"):
                await loop.getaddrinfo("127.0.0.1", 80)
        else:
            assert (await loop.getaddrinfo("127.0.0.1", 80))[0][4] == ("127.0.0.1", 80)
        assert (await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST))[0] == "127.0.0.1"
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with pytest.raises(TransferError, match=r"sendfile\(\) needs .* threads"):
                await loop.sock_sendfile(ours, io.BytesIO(b"text"))

    asyncio.run(main(), debug=False)
    asyncio.run(main(), debug=True)


def test_any_other_executor_will_do() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            assert await aio.run(executor, abs, -1) == 1
            assert [each async for each in aio.map(executor, abs, range(5))] == [0, 1, 2, 3, 4]

    asyncio.run(main())


def test_eager_tasks_are_served() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        with InterpreterPoolExecutor(1) as executor:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(aio.run(executor, abs, -n)) for n in range(20)]
        assert [call.result() for call in calls] == list(range(20))

    asyncio.run(main())


def test_the_examples_of_the_module_run() -> None:
    assert aio.__doc__ is not None
    lines = [line for line in aio.__doc__.splitlines() if line.startswith("    ")]
    example = textwrap.dedent("\n".join(lines))
    namespace = {"fn": abs}
    exec(example, namespace)
    asyncio.run(namespace["main"]())  # type: ignore[operator]
