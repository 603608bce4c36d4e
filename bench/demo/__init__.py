"""The main job: every file of the standard library measured, by every executor.

``python -m bench.demo`` runs it and prints a table, a chart and what was found.

    job.py          the job itself: measure_file
    corpus.py       the files, dealt into equal parts
    contenders.py   who takes part: how each executor is made and called
    runner.py       one contender in a process of its own, obeying lines of JSON
    team.py         a contender at work: its runner, or several, and what they take
    race.py         the contenders part by part and round by round, their answers compared
    results.py      times, rates and medians
    report.py       the table and the findings; chart.py  the picture
    cli.py          the command line

What ``interp_executor compare`` needs too is in ``interp_executor/_compare``: the process of a
runner and the lines of JSON to it, memory, progress, how executors are made, bars.

Data flow::

    cli --- race --- team --- process ==stdin/stdout== runner --- executor.map(measure_file, files)
             |                           (JSON lines)
             results --- report, chart

A runner process per contender keeps each one's memory, start-up and crashes apart from the
others'. All of them are alive at once and take turns, a part of the job each, so that a
machine that is slower for a while is slower for all of them.
"""
