"""Measurements: the executor beside the standard library's, in the same run.

``python -m bench`` runs every row of the table of figures and prints it;
``pytest bench/bench_<topic>.py`` runs one topic under pytest-benchmark with the
same rows and the same measuring code; ``python -m bench.origins`` reproduces the
published figures that started the field.

    rows.py       what is compared with what, and the bound to reach: data
    buffer_rows.py, buffers.py  the same and its contenders, for what is large or lent
    entries.py    each contender: how to open it, what it measures
    measures.py   the measuring code, one function per kind of work
    harness.py    calibration and alternating rounds
    stats.py      medians, bootstrap bounds, verdicts
    run_row.py    one row in a process of its own
"""
