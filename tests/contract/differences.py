"""What each executor is expected to do otherwise than the contract says, and why.

The contract is what our executor does; `OURS` appears in no table, nor does `OURS_ALONE`, which is
the same without a fallback. Two tables:

`TRAITS` names properties in which executors differ by design. A test asks `differs(rig, trait)` and
asserts the other behaviour for the lanes listed.

`FAILURES` names the tests that a lane fails, each with the reason. They are strict expected
failures: the day a lane passes one of them, the suite says so. Those that would hang or break the
test process are not run.
"""

import sys
from dataclasses import dataclass

from .lanes import OURS_IN_PROCESSES, PROCESSES, SPAWNED, STDLIB, THREADS

BOTH_PROCESSES = (PROCESSES, SPAWNED)
BEFORE_314 = (THREADS, *BOTH_PROCESSES) if sys.version_info < (3, 14) else ()
LOSES_FALSEY = (THREADS, *BOTH_PROCESSES) if sys.version_info < (3, 13, 4) else ()


@dataclass(frozen=True)
class Failure:
    """Why some lanes fail a test."""

    lanes: tuple[str, ...]
    reason: str
    run: bool = True


_PREFETCH = "moves up to max_workers + 1 waiting tasks into a pipe, where they count as running"
_SHARED = "threads of one interpreter share all objects"

TRAITS: dict[str, dict[str, str]] = {
    "a waiting task can always be cancelled": dict.fromkeys(BOTH_PROCESSES, _PREFETCH),
    "only the worker sets a result": dict.fromkeys(
        (THREADS, STDLIB, *BOTH_PROCESSES), "the base class guards finished futures only"
    ),
    "as many workers as CPUs": dict.fromkeys(
        (THREADS, STDLIB), "made for I/O: four workers more than CPUs, at most 32"
    ),
    "a broken executor tells the cause": dict.fromkeys(
        (THREADS, STDLIB, *BOTH_PROCESSES), "the exception of the initializer is only logged"
    ),
    "a failing initializer is logged by the caller": dict.fromkeys(
        BOTH_PROCESSES, "logged in the worker process, by that process's own logging"
    ),
    "workers have names": dict.fromkeys(
        BOTH_PROCESSES, "takes no thread_name_prefix: its workers are processes"
    ),
    "the queue tells its length": dict.fromkeys(BOTH_PROCESSES, "has no _work_queue"),
    "tasks share nothing with the caller": {THREADS: _SHARED},
    "what cannot be pickled cannot travel": {THREADS: _SHARED},
    "the initializer runs once in each worker": {
        OURS_IN_PROCESSES: "in the worker's interpreter, and in the process it gets on first need"
    },
    "arguments are taken at submit": {
        THREADS: _SHARED,
        **dict.fromkeys(BOTH_PROCESSES, "pickled by a feeder thread when there is room"),
        STDLIB: "pickled by the worker's thread when it takes the task",
    },
    "chunksize counts": dict.fromkeys((THREADS, STDLIB), "ignored, even where it makes no sense"),
    "asyncio takes it as default executor": dict.fromkeys(
        BOTH_PROCESSES, "asyncio wants a ThreadPoolExecutor or a subclass"
    ),
}

_NO_BUFFERSIZE = Failure(BEFORE_314, "Executor.map has buffersize from 3.14 on")

_PICKLED_BY_NAME = Failure(BOTH_PROCESSES, "functions and classes are pickled by name")
_STATELESS_ONLY = Failure((STDLIB,), "sends by value only functions that need nothing around them")
_BREAKS = Failure(BOTH_PROCESSES, "what cannot be unpickled breaks the whole pool")
_NO_REASON = Failure((STDLIB,), "the error says that sharing failed, not why")
_DUMMY = Failure((STDLIB,), "shows as Dummy-1 inside the task (cpython issue 125920)")
_NO_TO_THREAD = [
    Failure(BOTH_PROCESSES, "not accepted as default executor"),
    Failure((STDLIB,), "to_thread submits Context.run, and a context cannot be shared"),
]

FAILURES: dict[str, list[Failure]] = {
    "test_a_timeout_that_is_not_a_number_is_refused": [
        Failure((THREADS, STDLIB, *BOTH_PROCESSES), "NaN is taken for no time at all")
    ],
    "test_to_thread_runs_in_the_default_executor": _NO_TO_THREAD,
    "test_to_thread_takes_context_variables_along": _NO_TO_THREAD,
    "test_the_cause_travels_with_the_exception": [
        Failure(BOTH_PROCESSES, "the remote traceback, a string, takes the place of the cause"),
        Failure((STDLIB,), "ExecutionFailed takes the place of the cause"),
    ],
    "test_an_exception_whose_init_cannot_be_replayed_arrives": [
        _BREAKS,
        Failure((STDLIB,), "lost: NotShareableError arrives instead"),
    ],
    "test_an_argument_that_cannot_travel_fails_its_future_only": [_NO_REASON],
    "test_a_result_that_cannot_travel_fails_its_future_only": [_NO_REASON],
    "test_an_argument_that_arrives_broken_fails_its_future_only": [_BREAKS],
    "test_a_result_that_arrives_broken_fails_its_future_only": [_BREAKS, _NO_REASON],
    "test_a_lambda_and_a_closure_are_called": [_PICKLED_BY_NAME, _STATELESS_ONLY],
    "test_a_local_class_is_instantiated": [_PICKLED_BY_NAME, _STATELESS_ONLY],
    "test_every_result_before_the_failure_is_yielded_whatever_the_chunk": [
        Failure(BOTH_PROCESSES, "a chunk fails as a whole")
    ],
    "test_many_threads_shut_down_at_once": [
        Failure(BOTH_PROCESSES, "the first sets to None what the others still use", run=False)
    ],
    "test_a_second_shutdown_may_cancel_what_the_first_left": [
        Failure(BOTH_PROCESSES, "a second shutdown finds nobody to wait for", run=False)
    ],
    "test_an_initializer_that_is_not_callable_is_refused": [
        Failure((STDLIB,), "the initializer is not checked until a worker starts")
    ],
    "test_a_thread_name_prefix_names_the_workers": [_DUMMY],
    "test_workers_have_a_sensible_name_by_default": [_DUMMY],
    "test_the_exception_of_a_dropped_future_goes": [
        Failure((STDLIB,), "the frame that raises the exception refers to it: a cycle", run=False)
    ],
    "test_an_exception_that_is_falsey_is_still_raised": [
        Failure(LOSES_FALSEY, "falsey exceptions are lost before 3.13.4 (cpython issue 132063)")
    ],
    "test_an_error_of_the_input_is_raised_by_next_where_a_buffer_delays_it": [_NO_BUFFERSIZE],
    "test_a_buffersize_that_is_no_integer_is_refused": [_NO_BUFFERSIZE],
    "test_a_buffersize_below_one_is_refused": [_NO_BUFFERSIZE],
    "test_map_gives_the_same_with_every_buffersize": [_NO_BUFFERSIZE],
    "test_a_buffer_makes_infinite_inputs_possible": [_NO_BUFFERSIZE],
    "test_a_full_buffer_stops_the_input": [_NO_BUFFERSIZE],
    "test_a_buffer_is_refilled_as_results_are_read": [_NO_BUFFERSIZE],
    "test_a_failure_ends_a_buffered_map": [_NO_BUFFERSIZE],
}


def differs(lane: str, trait: str) -> bool:
    """True where `lane` is listed as an exception to `trait`."""
    return lane in TRAITS[trait]


def failure_of(test: str, lane: str) -> Failure | None:
    for failure in FAILURES.get(test, ()):
        if lane in failure.lanes:
            return failure
    return None
