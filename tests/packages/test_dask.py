"""Dask's local scheduler and distributed's workers over our executor."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")

import dask_tasks
from dask import delayed
from dask._task_spec import Alias, DataNode, Dict, List, Set, Task, TaskRef, Tuple
from isolated.script import run, write

from interp_executor import InterpreterPoolExecutor, TaskTimeoutError
from interp_executor.contrib.dask import DaskExecutor


@pytest.fixture
def pool() -> Iterator[DaskExecutor]:
    """An executor that the local scheduler uses."""
    with DaskExecutor(2) as executor, dask.config.set(pool=executor, scheduler="threads"):
        yield executor


def test_a_graph_of_functions_runs_in_the_pool_without_dask(pool: DaskExecutor) -> None:
    one, two = delayed(dask_tasks.increment)(0), delayed(dask_tasks.increment)(1)
    assert delayed(dask_tasks.add)(one, two, third=one).compute() == 4
    assert delayed(dask_tasks.where)(one).compute() == (os.getpid(), False, False)
    assert pool.stats().submitted > 0


def test_tasks_within_containers_are_worked_out(pool: DaskExecutor) -> None:
    values = [delayed(dask_tasks.increment)(i) for i in range(5)]
    assert delayed(sum)(values).compute() == 15
    assert delayed(dask_tasks.items_of)({"a": values[0], "b": values[1]}).compute() == [
        ("a", 1),
        ("b", 2),
    ]
    assert delayed(len)((values[0], values[1])).compute() == 2


@pytest.mark.parametrize(
    ("task", "result"),
    [
        (Task("k", dask_tasks.increment, TaskRef("x")), 8),
        (Task("k", dask_tasks.add, TaskRef("x"), third=TaskRef("x"), second=1), 15),
        (List(TaskRef("x"), Task("n", dask_tasks.increment, 1)), [7, 2]),
        (Tuple(TaskRef("x"), 2), (7, 2)),
        (Set(TaskRef("x"), 2), {7, 2}),
        (Dict({"a": TaskRef("x"), "b": Task("n", dask_tasks.increment, 1)}), {"a": 7, "b": 2}),
        (Alias("k", "x"), 7),
        (DataNode("k", 5), 5),
        (
            Task.fuse(
                Task("a", dask_tasks.increment, TaskRef("x")),
                Task("b", dask_tasks.increment, TaskRef("a")),
                Task("c", dask_tasks.add, TaskRef("a"), TaskRef("b"), TaskRef("x")),
                key="k",
            ),
            8 + 9 + 7,
        ),
    ],
)
def test_every_kind_of_node_is_unwrapped(task: object, result: object) -> None:
    with DaskExecutor(1) as executor, dask.config.set(pool=executor):
        graph = {"x": DataNode("x", 7), "k": task}
        assert dask.threaded.get(graph, "k") == result


def test_a_bag_of_lambdas_runs(pool: DaskExecutor) -> None:
    import dask.bag

    bag = dask.bag.from_sequence(range(100), npartitions=4)
    total = bag.map(lambda n: n * n).filter(lambda n: n % 2).sum().compute(scheduler="threads")
    assert total == sum(n * n for n in range(100) if n % 2)


def test_an_error_arrives_as_itself_with_the_workers_traceback(pool: DaskExecutor) -> None:
    with pytest.raises(ValueError, match="no") as caught:
        delayed(dask_tasks.fail)(1).compute()
    assert caught.value.args == ("no", 1)
    assert "in fail" in str(caught.value.__cause__)


def test_batches_of_tasks_run(pool: DaskExecutor) -> None:
    values = [delayed(dask_tasks.increment)(i) for i in range(40)]
    with dask.config.set(chunksize=10):
        assert dask.compute(*values) == tuple(range(1, 41))
        with pytest.raises(ValueError, match="no"):
            dask.compute(*values, delayed(dask_tasks.fail)(1))


def test_the_executor_may_be_the_scheduler(pool: DaskExecutor) -> None:
    assert delayed(dask_tasks.increment)(1).compute(scheduler=pool) == 2


def test_the_options_of_a_view_are_those_of_dasks_tasks(pool: DaskExecutor) -> None:
    with dask.config.set(pool=pool.with_options(timeout=0.2)), pytest.raises(TaskTimeoutError):
        delayed(dask_tasks.spin)(100_000_000).compute()
    with dask.config.set(pool=pool.with_options(lane="process")):
        process, *_ = delayed(dask_tasks.where)().compute()
    assert process != os.getpid()
    assert delayed(dask_tasks.where)().compute()[0] == os.getpid()


def test_an_executor_of_processes_starts_no_interpreters_for_dask() -> None:
    with DaskExecutor(1, lane="process") as executor, dask.config.set(pool=executor):
        process, *_ = delayed(dask_tasks.where)().compute(scheduler="threads")
    assert process != os.getpid()


def test_a_plain_executor_runs_graphs_too() -> None:
    """Its workers import dask, which takes them a while, and errors lose their traceback."""
    with InterpreterPoolExecutor(1) as executor, dask.config.set(pool=executor):
        assert delayed(dask_tasks.increment)(1).compute(scheduler="threads") == 2


def test_a_pickled_executor_is_made_anew() -> None:
    with DaskExecutor(3, thread_name_prefix="mine") as executor:
        copy = pickle.loads(pickle.dumps(executor))
        assert isinstance(copy, DaskExecutor)
        assert copy._max_workers == 3
        assert copy._thread_name_prefix == "mine"
        assert copy.submit(abs, -1).result() == 1
        copy.shutdown()


def test_a_view_is_pickled_with_its_options() -> None:
    with (
        DaskExecutor(1) as executor,
        pickle.loads(pickle.dumps(executor.with_options(lane="process"))) as copy,
    ):
        assert copy.submit(dask_tasks.where).result()[0] != os.getpid()


CLUSTER = """
import os, sys
sys.path.insert(0, {folder!r})
import dask_tasks
from dask.distributed import Client, LocalCluster
from interp_executor.contrib.dask import DaskExecutor

if __name__ == "__main__":
    options = {{"processes": {processes}, "dashboard_address": None, "memory_limit": 0}}
    options |= {{"n_workers": 1, "threads_per_worker": 2, "executor": DaskExecutor(2)}}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.run(sys.path.insert, 0, {folder!r})
        pid, *loaded = client.submit(dask_tasks.where).result()
        print((pid == os.getpid()), *loaded)
        print(sum(client.gather(client.map(dask_tasks.increment, range(100)))))
        print(client.submit(dask_tasks.add, client.submit(len, "ab"), 1, third=2).result())
        offset = 3
        print(client.submit(lambda value: value + offset, 4).result())
        future = client.submit(dask_tasks.fail, 1)
        error = future.exception()
        print(type(error).__name__, error.args)
        print(len(client.run(lambda dask_worker: str(type(dask_worker.executor)))))
"""


@pytest.mark.parametrize("processes", [True, False])
def test_workers_of_a_cluster_use_interpreters(processes: bool, tmp_path: Path) -> None:
    folder = os.path.dirname(dask_tasks.__file__)
    program = CLUSTER.format(folder=folder, processes=processes)
    result = run(write(tmp_path / "program.py", program), warnings="default", check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"{not processes} False False",
        "5050",
        "5",
        "7",
        "ValueError ('no', 1)",
        "1",
    ]


def test_without_dask_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["dask"] = None
try:
    import interp_executor.contrib.dask
except ImportError as error:
    print(error)
"""
    assert "pip install 'interp-executor[dask]'" in run("-c", code).stdout
