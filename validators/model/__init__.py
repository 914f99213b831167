"""The model gate: a candidate's predictions against limits and against the baseline.

It runs in a process of its own and is a pure function of files:

    python -m validators.model REQUEST.json REPORT.json
"""
