"""The demo: a story played with the real product on real data. `python -m examples.demo`."""
