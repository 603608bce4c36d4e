"""Our futures under uvloop instead of asyncio's own event loop."""

import asyncio

import pytest

uvloop = pytest.importorskip("uvloop")

from interp_executor import InterpreterPoolExecutor, aio


def test_uvloop_awaits_our_futures() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, uvloop.Loop)
        with InterpreterPoolExecutor(2) as executor:
            calls = [loop.run_in_executor(executor, abs, -number) for number in range(500)]
            assert await asyncio.gather(*calls) == list(range(500))
            assert [each async for each in aio.map(executor, abs, range(-50, 0))] == [
                *range(50, 0, -1)
            ]
            async with asyncio.TaskGroup() as group:
                call = group.create_task(aio.run(executor, divmod, 7, 2))
            assert call.result() == (3, 1)
            with pytest.raises(ZeroDivisionError):
                await aio.run(executor, divmod, 1, 0)

    uvloop.run(main())
