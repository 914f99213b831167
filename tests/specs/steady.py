"""Settings of the property tests here: the same examples each time, however busy the machine."""

from hypothesis import settings

steady = settings(deadline=None, derandomize=True)
