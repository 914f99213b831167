"""Settings for property tests: the same examples each time, however busy the machine is."""

from hypothesis import settings

steady = settings(deadline=None, derandomize=True)
