"""A user's own function on every executor: what ``compare`` measures, and how.

    api.py          compare(), the package's attribute; session.py  one comparison
    work.py         what is compared: the function and its items, on their way between processes
    executors.py    who takes part: how each executor is made and called, and met at its start
    tasks.py        what the workers import of this package
    runner.py       one contender in a process of its own, obeying lines of JSON
    line.py         a runner's end of those lines; process.py  the owner's end
    memory.py       what a process tree holds
    race.py         all contenders, round by round, their answers compared (agree.py)
    figures.py      the figures and their spread
    advice.py       which to use, and why; report.py  the table
    chart.py        the picture: bars.py lays out panels of bars, drawing.py saves shapes
    progress.py     the bar while it runs

Data flow::

    session --- race --- process ==stdin/stdout== runner --- executor.map(fn, *items)
                 |          (JSON lines; answers in files)
                 figures --- advice, report, chart

Each contender has a new process in each round, which keeps its memory, start-up and crashes apart
from the others', and the order changes, so that a machine which is slower for a while is not slower
for always the same one.
"""
