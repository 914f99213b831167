"""What all tests share: whoever runs them, they run as an ordinary user, and property tests try
the same examples however busy the machine is."""

from hypothesis import HealthCheck, settings

from tests.ordinary import become_ordinary

become_ordinary()

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("steady")
