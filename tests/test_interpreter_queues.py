"""The queues of concurrent.interpreters pass as themselves, and live while on their way."""

import sys
from typing import Any

import pytest

from interp_executor import IncompatibleModuleError, InterpreterPoolExecutor

if sys.version_info < (3, 14):
    pytest.skip("they came with Python 3.14", allow_module_level=True)

from concurrent import interpreters


def put_all(queue: Any, *values: Any) -> int:
    for value in values:
        queue.put(value)
    return int(queue.id)


def put_into_first(queues: list[Any], value: Any) -> None:
    queues[0].put(value)


def make(nested: bool) -> Any:
    queue = interpreters.create_queue()
    queue.put("from a worker")
    return [queue] if nested else queue


def test_a_queue_passes_as_itself(executor: InterpreterPoolExecutor) -> None:
    queue = interpreters.create_queue()
    assert executor.submit(put_all, queue, 1, "two").result() == queue.id
    executor.submit(put_into_first, [queue], 3).result()
    executor.submit(lambda: queue.put(4)).result()
    assert [queue.get() for _ in range(4)] == [1, "two", 3, 4]
    assert list(executor.map(put_all, [queue] * 2, "ab")) == [queue.id] * 2
    assert [queue.get(), queue.get()] == ["a", "b"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_queue_lives_on_its_way(executor: InterpreterPoolExecutor, nested: bool) -> None:
    result = executor.submit(make, nested).result()
    assert (result[0] if nested else result).get() == "from a worker"
    queue = interpreters.create_queue()
    number = queue.id
    argument: Any = [queue] if nested else queue
    future = executor.submit(put_all if not nested else put_into_first, argument, 1)
    del queue, argument
    assert future.result() in (number, None)


def test_a_queue_does_not_go_to_a_process(executor: InterpreterPoolExecutor) -> None:
    queue = interpreters.create_queue()
    with pytest.raises(IncompatibleModuleError, match="interpreters' queue"):
        executor.with_options(lane="process").submit(put_into_first, [queue], 1).result()
