"""The benchmarks' own arithmetic: figures, bounds, verdicts, plans and turns."""

import asyncio
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import __main__ as command
from bench import harness, plot, report, rows, stats, ticker
from bench.entries import Entry
from bench.measures import Sample
from bench.row import Row
from bench.run_row import joined
from bench.stats import Bound, Kind, Verdict


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    assert stats.median([4.0, 1.0, 3.0, 2.0]) == 2.5


def test_the_median_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        stats.median([])


def test_quantiles_interpolate_between_neighbours():
    assert stats.quantile([30.0, 10.0, 20.0], 0.0) == 10.0
    assert stats.quantile([30.0, 10.0, 20.0], 0.25) == 15.0
    assert stats.quantile([30.0, 10.0, 20.0], 1.0) == 30.0


def test_bounds_of_equal_values_are_that_value():
    assert stats.bounds_of_median([2.0] * 5) == (2.0, 2.0)


def test_bounds_enclose_the_median_and_repeat_exactly():
    values = [1.0, 1.1, 0.9, 1.3, 0.8, 1.05, 0.95]
    low, high = stats.bounds_of_median(values)
    assert low < stats.median(values) < high
    assert (low, high) == stats.bounds_of_median(values)


def test_one_outlying_round_of_seven_does_not_move_the_bounds_far():
    low, high = stats.bounds_of_median([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 90.0])
    assert (low, high) == (1.0, 1.0)


def test_bounds_cover_the_true_median_about_nine_times_in_ten():
    import random

    generator = random.Random(7)
    trials = 200
    above = 0
    for _ in range(trials):
        values = [generator.gauss(10, 1) for _ in range(7)]
        above += stats.bounds_of_median(values, resamples=400)[1] >= 10
    assert 0.8 < above / trials < 0.97


def test_a_rate_is_the_peers_cost_over_ours():
    assert stats.figures(Kind.RATE, [1.0, 2.0], [4.0, 4.0]) == [4.0, 2.0]


def test_a_time_is_our_cost_over_the_peers():
    assert stats.figures(Kind.TIME, [1.0, 2.0], [4.0, 4.0]) == [0.25, 0.5]


def test_an_excess_is_a_difference():
    assert stats.figures(Kind.EXCESS, [7.0], [4.0]) == [3.0]


def test_unpaired_samples_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        stats.figures(Kind.TIME, [1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("kind", "low", "figure", "high", "verdict"),
    [
        (Kind.TIME, 0.3, 0.4, 0.5, Verdict.REACHED),
        (Kind.TIME, 0.3, 0.4, 0.6, Verdict.NOISE),
        (Kind.TIME, 0.4, 0.6, 0.7, Verdict.MISSED),
        (Kind.RATE, 0.5, 0.6, 0.7, Verdict.REACHED),
        (Kind.RATE, 0.4, 0.6, 0.7, Verdict.NOISE),
        (Kind.RATE, 0.3, 0.4, 0.7, Verdict.MISSED),
    ],
)
def test_the_unfavourable_bound_decides(kind, low, figure, high, verdict):
    assert stats.judge(Bound("peer", 0.5, kind), figure, low, high) is verdict


def test_no_worse_is_missed_only_when_the_favourable_bound_misses():
    bound = Bound("peer", 1.0, Kind.RATE, lenient=True)
    assert stats.judge(bound, 0.99, 0.97, 1.01) is Verdict.REACHED
    assert stats.judge(bound, 0.95, 0.93, 0.97) is Verdict.MISSED


def test_of_several_peers_the_one_with_the_best_median_counts():
    bound = Bound(("slow", "fast", "absent"), 2.0, Kind.RATE)
    cell = stats.compare(bound, {"ours": [1.0] * 5, "slow": [9.0] * 5, "fast": [3.0] * 5})
    assert cell is not None
    assert (cell.peer, cell.figure, cell.verdict) == ("fast", 3.0, Verdict.REACHED)


def test_a_bound_without_samples_of_both_sides_gives_no_cell():
    bound = Bound("peer", 1.0)
    assert stats.compare(bound, {"ours": [1.0]}) is None
    assert stats.compare(bound, {"peer": [1.0]}) is None
    assert stats.compare(bound, {"ours": [1.0], "peer": []}) is None


def test_an_absolute_bound_needs_no_peer():
    cell = stats.compare(Bound((), 0.1, Kind.ABSOLUTE), {"ours": [0.02, 0.03, 0.02]})
    assert cell is not None
    assert cell.figure == 0.02
    assert cell.verdict is Verdict.REACHED


def steady(cost):
    """Return a measuring function whose items always cost the same."""
    return lambda items: Sample(cost, cost * items)


def test_a_plan_fills_the_time_with_items():
    assert harness.calibrate(steady(1e-3), 100_000, 1.0, None) == harness.Plan(1000, 1)


def test_a_plan_repeats_where_the_items_are_limited():
    assert harness.calibrate(steady(1e-6), 100_000, 1.0, None) == harness.Plan(100_000, 10)


def test_a_fixed_number_of_items_is_kept():
    assert harness.calibrate(steady(1e-3), 100, 1.0, 5000) == harness.Plan(5000, 1)


def test_a_row_of_one_item_is_measured_once_a_round():
    assert harness.calibrate(steady(1e-6), 1, 1.0, None) == harness.Plan(1, 1)


def test_a_slow_contender_still_gets_one_item():
    assert harness.calibrate(steady(5.0), 100, 1.0, None) == harness.Plan(1, 1)


def test_a_repeated_round_is_the_mean_of_its_repeats():
    costs = itertools.cycle([1.0, 3.0])
    assert harness.take(lambda _: Sample(next(costs), 0.0), harness.Plan(1, 4)) == 2.0


def test_each_round_begins_with_another_contender():
    names = ["a", "b", "c"]
    firsts = [harness.turns(names, number)[0] for number in range(6)]
    assert firsts == ["a", "b", "c", "a", "b", "c"]
    assert sorted(harness.turns(names, 1)) == names
    assert harness.turns([], 3) == []


class StandIn:
    """A contender that records its opening and closing."""

    def __init__(self, measure):
        self.measure = measure
        self.is_open = False

    def __enter__(self):
        self.is_open = True
        return self.measure

    def __exit__(self, *_):
        self.is_open = False


def row_of(*entries):
    return Row("row", "topic", "a row", entries, (Bound("peer", 1.0),), max_items=1)


def test_every_contender_is_measured_in_every_round_and_closed():
    ours, peer = StandIn(steady(1.0)), StandIn(steady(2.0))
    row = row_of(Entry("ours", lambda: ours), Entry("peer", lambda: peer))
    measured = harness.run_row(row, rounds=5, seconds=0.01)
    assert measured.samples == {"ours": [1.0] * 5, "peer": [2.0] * 5}
    assert not ours.is_open
    assert not peer.is_open


def test_a_contender_that_fails_midway_leaves_the_others_their_samples():
    calls = itertools.count()

    def fails_later(_items):
        if next(calls) == 3:
            raise OSError("gone")
        return Sample(1.0, 1.0)

    row = row_of(
        Entry("ours", lambda: StandIn(fails_later)),
        Entry("peer", lambda: StandIn(steady(2.0))),
    )
    measured = harness.run_row(row, rounds=5, seconds=0.01)
    assert measured.samples == {"peer": [2.0] * 5}
    assert measured.absent == {"ours": "OSError: gone"}


def test_what_begins_afresh_is_not_measured_for_a_warm_up():
    calls = itertools.count(1)
    measure = StandIn(lambda _items: Sample(next(calls), 1.0))
    row = row_of(Entry("ours", lambda: measure, afresh=True))
    assert harness.run_row(row, rounds=5, seconds=0.01).samples == {"ours": [1, 2, 3, 4, 5]}


def test_a_contender_that_is_not_here_says_why():
    row = row_of(Entry("ours", lambda: StandIn(steady(1.0)), lambda: "not built"))
    assert harness.run_row(row, rounds=5, seconds=0.01).absent == {"ours": "not built"}


def test_a_tickers_own_delays_leave_waits_for_a_processor_out():
    with ThreadPoolExecutor(1) as executor:
        delays = asyncio.run(ticker.tick_beside(executor, ticks=3, workers=1, iterations=1000))
    assert len(delays.all) == len(delays.own) == 3
    assert all(own >= 0 for own in delays.own)
    assert all(own <= max(0, late) for own, late in zip(delays.own, delays.all, strict=True))
    before = ticker.waited()
    assert ticker.waited() >= before >= 0


def test_row_names_are_unique_and_every_bound_names_entries_of_its_row():
    names = [row.name for row in rows.ROWS]
    assert len(set(names)) == len(names)
    for row in rows.ROWS:
        entries = {entry.name for entry in row.entries}
        for bound in row.bounds:
            assert {bound.subject, *bound.peers} <= entries, row.name


def test_finding_an_unknown_row_names_the_known_ones():
    with pytest.raises(LookupError, match="round-trip"):
        rows.find("nonesuch")


def result_of(name, samples):
    return {"name": name, "samples": samples, "absent": {}, "plans": {}, "elapsed": 1.0}


def test_the_table_shows_floor_figure_bounds_and_verdict():
    result = result_of("queued-memory", {"ours": [400.0] * 5, "thread": [2000.0] * 5})
    line, costs = report.row_lines(result)
    for part in ("memory of a task", "ThreadPool", "<= 0.5 x", "0.2", "0.2 .. 0.2", "reached"):
        assert part in line
    assert "ours 400 B, ThreadPool 2 kB" in costs


def test_the_summary_counts_what_was_not_measured():
    result = result_of("queued-memory", {"thread": [2000.0] * 5})
    assert report.summary([result]) == "0 of 1 cells reached, 0 missed, 1 not measured"


def measure_by(*bytes_per_task):
    """Return a measuring function for queued-memory: each run of a row gives the next figure."""
    figures = iter(bytes_per_task)

    def measure(row):
        return result_of(row.name, {"ours": [next(figures)] * 5, "thread": [1000.0] * 5})

    return measure


def rounds_of(measure, more_runs=2):
    (result,) = command.run([rows.find("queued-memory")], measure, more_runs)
    return result["samples"]["ours"]


def test_a_row_that_is_reached_is_run_once():
    assert rounds_of(measure_by(400.0)) == [400.0] * 5


def test_a_row_that_misses_is_run_on_until_it_is_reached_and_every_round_counts(capsys):
    assert rounds_of(measure_by(600.0, 400.0, 400.0)) == [600.0] * 5 + [400.0] * 10
    assert capsys.readouterr().out.count("queued-memory once more") == 2


def test_a_row_that_goes_on_to_miss_is_left_missed():
    assert rounds_of(measure_by(600.0, 600.0, 600.0)) == [600.0] * 15
    assert rounds_of(measure_by(600.0), more_runs=0) == [600.0] * 5


def test_no_row_is_run_again_that_would_not_be_done_in_time(monkeypatch):
    monkeypatch.setattr(command, "LIMIT", 0.9)  # the row says that it takes 1 s
    assert rounds_of(measure_by(600.0)) == [600.0] * 5


def test_a_contender_that_drops_out_of_a_second_run_is_not_hidden_by_the_first():
    first = result_of("deep-1", {"ours": [1.0], "thread": [2.0]})
    second = {**result_of("deep-1", {"thread": [2.0]}), "absent": {"ours": "gone"}}
    assert joined(first, second) == second


def test_a_run_without_our_executor_is_a_failed_run():
    result = result_of("deep-1", {"ours": [1.0], "thread": [2.0]})
    assert not report.failed([result])
    assert not report.failed([{**result, "absent": {"interp": "from 3.14 on"}}])
    assert report.failed([{**result, "absent": {"ours": "not built"}}])
    assert report.failed([{**result, "error": "crashed"}])


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.4e-9, "3.4 ns"), (6.54e-6, "6.54 us"), (0.0125, "12.5 ms"), (2.0, "2 s")],
)
def test_times_are_written_with_their_unit(value, text):
    assert report.seconds(value) == text


def test_measuring_functions_check_the_answers():
    from concurrent.futures import ThreadPoolExecutor

    from bench import measures

    class Liar(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(int)

    with Liar(1) as liar, pytest.raises(measures.WrongAnswerError):
        measures.echoes(liar, 3)


def test_measuring_functions_time_the_work():
    from concurrent.futures import ThreadPoolExecutor

    from bench import measures

    with ThreadPoolExecutor(1) as executor:
        started = time.perf_counter()
        sample = measures.echoes(executor, 50)
        took = time.perf_counter() - started
    assert 0 < sample.elapsed < took
    assert sample.cost == pytest.approx(sample.elapsed / 50)


def test_the_picture_has_a_colour_for_every_peer() -> None:
    for row in rows.ROWS:
        for bound in row.bounds:
            for peer in bound.peers:
                assert plot.kind_of_peer(peer) in plot.COLOURS, row.name
