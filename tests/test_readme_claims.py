"""What the README says that stays process-wide; and which tests show what it says of "when ..."."""

import ctypes
import os
import re
import resource
import time
from pathlib import Path

import process_tasks as tasks
import pytest

from interp_executor import InterpreterPoolExecutor

TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"

# The first words of each line of "What happens when ...", and the tests that show it.
SHOWN = {
    "a task raises": "contract/test_errors.py::test_an_exception_keeps_its_type_and_arguments",
    "an argument or a result cannot cross": (
        "contract/test_errors.py::test_an_argument_that_cannot_travel_fails_its_future_only "
        "contract/test_errors.py::test_a_result_that_cannot_travel_fails_its_future_only"
    ),
    "a task calls": (
        "isolated/test_exits.py::test_a_system_exit_in_a_task_does_not_end_the_program"
    ),
    "a task runs for ever in Python": (
        "test_interrupts.py::test_a_loop_is_interrupted "
        "test_interrupts.py::test_a_task_over_its_time_is_interrupted"
    ),
    "it does not come back from C code": (
        "test_given_up.py::test_a_task_that_cannot_be_stopped_is_abandoned "
        "test_given_up.py::test_the_pool_stays_at_strength"
    ),
    "a task leaves a thread": (
        "test_replacements.py::test_what_does_not_end_holds_no_shutdown_up "
        "isolated/test_leftovers_at_exit.py::test_what_does_not_end_keeps_no_program"
    ),
    "an initializer fails": (
        "test_replacements.py::test_an_initializer_that_fails_at_first_start_breaks_the_pool "
        "test_replacements.py::test_three_failures_on_replacements_break_the_pool"
    ),
    "an initializer does not end": (
        "test_stopped_initializers.py::test_terminate_workers_interrupts_an_initializer "
        "test_stopped_initializers.py::test_an_initializer_that_cannot_be_stopped_is_given_up "
        "isolated/test_stuck.py::test_ctrl_c_ends_a_program_whose_initializers_do_not_end"
    ),
    "no more threads are to be had": (
        "isolated/test_scarcity.py::"
        "test_where_no_more_threads_are_had_the_workers_there_are_do_all_and_say_so_once "
        "isolated/test_scarcity.py::"
        "test_where_no_thread_is_had_at_all_every_task_fails_and_the_next_is_tried_again"
    ),
    "a task of the process lane crashes": (
        "test_process_crashes.py::test_a_crash_fails_its_future_and_names_the_signal "
        "test_process_crashes.py::"
        "test_an_abort_costs_one_future_with_others_running_and_fifty_queued "
        "test_process_crashes.py::test_a_process_killed_between_tasks_takes_no_task_with_it"
    ),
    "a function given to `threading.settrace()` or `setprofile()` raises in a worker's thread": (
        "test_faults.py::test_a_worker_that_a_hook_keeps_from_beginning_says_so "
        "test_faults.py::test_nobody_waits_for_a_worker_whose_hook_raises"
    ),
    "the program ends with work pending": (
        "isolated/test_exits.py::test_pending_work_finishes_when_the_program_ends"
    ),
    "an executor is never shut down": (
        "isolated/test_exits.py::test_an_idle_executor_in_a_global_does_not_keep_the_program"
    ),
    "Ctrl-C": "isolated/test_stuck.py::test_ctrl_c_in_the_main_program_ends_it",
    "SIGTERM": "isolated/test_stuck.py::test_sigterm_ends_the_program_at_once",
    "the process forks": (
        "isolated/test_fork.py::test_a_child_makes_an_executor_of_its_own_and_exits_cleanly "
        "isolated/test_fork.py::test_an_inherited_executor_refuses_to_work"
    ),
    "a task forks": "isolated/test_fork.py::test_a_task_cannot_fork",
    "a task starts processes": (
        "isolated/test_main_elsewhere.py::test_a_task_of_a_script_starts_processes "
        "isolated/test_main_elsewhere.py::test_daemon_threads_are_refused_in_a_task"
    ),
    "`max_tasks_per_child` recycles": (
        "test_options_and_stats.py::test_stats_count_interpreters_that_have_ended"
    ),
}


def test_every_line_of_what_happens_when_is_shown_by_tests() -> None:
    if not README.exists():
        pytest.skip("the README is not part of this tree")
    _, section = README.read_text(encoding="utf-8").split("## What happens when ...")
    section, _, _ = section.partition("\n## ")
    lines = re.findall(r"^\| ([^|\s].*?) \|", section, flags=re.MULTILINE)
    assert len(lines) == len(SHOWN)
    for line, (start, shown) in zip(lines, SHOWN.items(), strict=True):
        assert line.startswith(start)
        for each in shown.split():
            file, _, name = each.partition("::")
            assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


def test_the_pid_is_the_processes(executor: InterpreterPoolExecutor) -> None:
    assert executor.submit(tasks.pid).result() == os.getpid()


def test_the_working_directory_is_the_processes(
    executor: InterpreterPoolExecutor, tmp_path: Path
) -> None:
    before = executor.submit(tasks.change_folder, str(tmp_path)).result()
    try:
        assert Path.cwd() == tmp_path
    finally:
        os.chdir(before)


def test_the_c_environment_is_the_processes_and_os_environ_is_not(
    executor: InterpreterPoolExecutor,
) -> None:
    name = "IX_OF_A_TASK"
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    executor.submit(tasks.set_in_c, name, "set").result()
    try:
        assert getenv(name.encode()) == b"set"
        assert executor.submit(tasks.set_in_python, name, "again").result() == "again"
        assert name not in os.environ
    finally:
        os.unsetenv(name)


def test_only_the_main_interpreter_sets_handlers_of_signals(
    executor: InterpreterPoolExecutor,
) -> None:
    with pytest.raises(ValueError, match="main"):
        executor.submit(tasks.set_handler).result()


def test_limits_are_the_processes(executor: InterpreterPoolExecutor) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = soft - 1 if soft > 0 else 1000
    before = executor.submit(tasks.limit, lower).result()
    try:
        assert before == (soft, hard)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == lower
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_process_time_counts_all_workers(executor: InterpreterPoolExecutor) -> None:
    before = time.process_time()
    burnt = executor.submit(tasks.burn, 0.2).result()
    assert time.process_time() - before >= burnt


def test_a_seed_drawn_from_the_pid_is_the_same_in_every_worker() -> None:
    drawn = []
    seeds = []
    for _ in range(2):
        with InterpreterPoolExecutor(1) as executor:
            seeds.append(executor.submit(tasks.draw_from_pid).result())
            drawn.append(executor.submit(tasks.draw).result())
    assert seeds[0] == seeds[1]
    assert drawn[0] != drawn[1]
