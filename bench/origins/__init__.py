"""The published figures that started the field, measured here again.

``python -m bench.origins`` runs three experiments, each case in processes of its
own, and prints what was published beside what this machine does:

    stinner.py    a CPU-bound factorial: sequential, threads, processes, interpreters
    shannon.py    start and join: threads, forks, tasks in warm interpreters
    zimmerman.py  make and destroy: interpreters cold and warm, forks, spawns

The published times are of other machines and other years; what compares is the
relation between the cases.
"""
