"""The demo: one story, told with the real product on real data. `python -m examples.demo`."""
