"""What all tests share: whoever runs them, they run as an ordinary user, and property tests try
the same examples however busy the machine is."""

import pytest
from hypothesis import HealthCheck, settings

from tests import engine
from tests.engine import docker_host, python_image  # noqa: F401 - fixtures for all
from tests.ordinary import become_ordinary
from tests.servers.stores import aws, moto, own_moto  # noqa: F401 - fixtures for all

engine.begin()  # it needs the rights that the tests do not have
become_ordinary()

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("steady")


def pytest_unconfigure() -> None:
    """End the engines that were started for these tests."""
    engine.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested for want of an engine."""
    skipped = terminalreporter.stats.get("skipped", [])
    without = [each for each in skipped if "docker" in each.keywords]
    if without:
        why = without[0].longrepr[2] if isinstance(without[0].longrepr, tuple) else ""
        terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(without)} tests that need a Docker Engine. {why}", red=True)
