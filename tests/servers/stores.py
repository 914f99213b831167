"""A server for each worker, and the settings of a controller that uses it."""

import os
from collections.abc import Iterator

import pytest

from controller.config.settings import Settings
from tests.servers.faults import Faults
from tests.servers.moto import KEY, Moto


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """S3 and SQS, for tests that leave it running; each takes buckets and queues of its own."""
    server = Moto()
    yield server
    server.close()


@pytest.fixture
def own_moto() -> Iterator[Moto]:
    """The same for one test alone, which may stop it."""
    server = Moto()
    yield server
    server.close()


@pytest.fixture
def faults(moto: Moto) -> Iterator[Faults]:
    """A proxy before it, for the faults of a test."""
    proxy = Faults(moto.url)
    yield proxy
    proxy.close()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that moto takes, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEY.items():
        monkeypatch.setenv(name, value)


def settings_of(moto: Moto, bucket: str, prefix: str = "artifacts") -> Settings:
    """Settings that keep artifacts in a bucket there."""
    return Settings.model_validate(
        {
            "repositories": [{"name": "team", "url": "remote.git"}],
            "artifacts": f"s3://{bucket}/{prefix}",
            "stores": [{"uri": f"s3://{bucket}", "endpoint": moto.url}],
        }
    )
