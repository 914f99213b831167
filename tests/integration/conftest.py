"""The servers, started once and only where their programs are; `set-up.sh` installs them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers import azurite as azurites
from tests.servers import radosgw as gateways
from tests.servers import rclone as rclones
from tests.servers.azurite import Azurite
from tests.servers.radosgw import Radosgw

SET_UP = "run `make test-s3` as root on Debian, or install"


@contextmanager
def _home() -> Iterator[Path]:
    """An empty folder with a short path: sockets have no room for long ones."""
    home = Path(tempfile.mkdtemp(prefix="hgs-"))
    try:
        yield home
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Radosgw]:
    """Ceph's gateway; each test takes buckets of its own."""
    if lacking := gateways.missing():
        pytest.skip(f"no radosgw ({', '.join(lacking)}): {SET_UP} {gateways.PACKAGES}")
    with _home() as home, closing(Radosgw(home)) as server:
        yield server


@pytest.fixture
def moto(radosgw: Radosgw) -> Radosgw:
    """What other tests check on moto is checked on radosgw here."""
    return radosgw


@pytest.fixture
def own_moto(radosgw: Radosgw) -> Iterator[Radosgw]:
    """The same, for a test that stops it; nobody else is there meanwhile."""
    yield radosgw
    radosgw.start()


@pytest.fixture
def aws(radosgw: Radosgw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that radosgw takes, and no others."""
    _only("AWS_", radosgw.key, monkeypatch)


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azure's blob storage."""
    if azurites.program() is None:
        pytest.skip(f"no Azurite: {SET_UP} azurite from npm")
    with _home() as home, closing(Azurite(home)) as server:
        yield server


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that Azurite takes, and no others."""
    _only("AZURE_", azurites.KEY, monkeypatch)


@pytest.fixture
def rclone_home() -> Iterator[Path]:
    """A folder for `Rclone`."""
    if rclones.program() is None:
        pytest.skip(f"no rclone: {SET_UP} rclone 1.65 or later")
    with _home() as home:
        yield home


def _only(prefix: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(prefix)]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
