"""What all tests share: whoever runs them, they run as an ordinary user, and property tests try
the same examples however busy the machine is."""

import pytest
from hypothesis import HealthCheck, settings

from deployers.confinement import confinement
from tests import engine, rights
from tests.engine import docker_host, python_image  # noqa: F401 - fixtures for all
from tests.ordinary import become_ordinary
from tests.servers.gateways import gateways  # noqa: F401 - fixtures for all
from tests.servers.postgresql import (  # noqa: F401 - as above
    own_postgresql,
    postgresql_server,
    warehouse,
)
from tests.servers.prometheus import prometheus  # noqa: F401 - as above
from tests.servers.spark import spark  # noqa: F401 - as above
from tests.servers.stores import aws, faults, moto, own_moto  # noqa: F401 - fixtures for all

engine.begin()  # both need the rights that the tests do not have
rights.begin()
become_ordinary()

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where processes cannot be confined in a namespace."""
    found = confinement(())
    if not found.works:
        pytest.skip(f"no bubblewrap: {found.why}")


def pytest_unconfigure() -> None:
    """End the engines that were started for these tests."""
    engine.end()
    rights.end()


NEEDS = {
    "bwrap": "bubblewrap",
    "docker": "a Docker Engine",
    "gateway": "Envoy or Traefik",
    "image": "a base image",
    "kubernetes": "a real Kubernetes",
    "postgresql": "PostgreSQL",
    "prometheus": "Prometheus",
    "spark": "Apache Spark",
    "s3": "a server of an object store",
}
"""What tests of a marker are skipped without."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested for want of a server."""
    skipped = terminalreporter.stats.get("skipped", [])
    for marker, need in NEEDS.items():
        without = [each for each in skipped if marker in each.keywords]
        if without:
            whys = {each.longrepr[2] for each in without if isinstance(each.longrepr, tuple)}
            terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
            said = f"{len(without)} tests that need {need}. {' '.join(sorted(whys))}"
            terminalreporter.line(said, red=True)
