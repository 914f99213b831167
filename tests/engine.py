"""A real Docker Engine for the tests that are marked `docker`, and an image to run in it.

The engine is the one at DOCKER_HOST or the usual socket, else one that is started for this run
alone, by `tests.engine_keeper`; one for all workers. Where there is none, these tests are skipped,
and the summary counts them.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.demo.image import RECIPE, make
from tests.engine_keeper import answers, ask, start

KEEPER = "HEADGATE_TEST_ENGINES"
"""The variable by which workers find the keeper's folder."""
USUAL = Path("/var/run/docker.sock")

_keeper: subprocess.Popen[bytes] | None = None


def begin() -> None:
    """Make a keeper, once for all workers; called before rights are given up."""
    global _keeper  # noqa: PLW0603 - it lives as long as the process
    if KEEPER in os.environ or os.geteuid() != 0 or shutil.which("dockerd") is None:
        return
    folder = tempfile.mkdtemp(prefix="hge-")
    os.environ[KEEPER] = folder
    _keeper = start(Path(folder))


def end() -> None:
    """Let the keeper end what it started, and wait for it."""
    if _keeper is not None:
        assert _keeper.stdin is not None
        _keeper.stdin.close()
        _keeper.wait()
        del os.environ[KEEPER]


def ask_keeper(line: str) -> str:
    """`up NAME` or `down NAME SIGNAL`; skips the test where no engine can be started."""
    if KEEPER not in os.environ:
        pytest.skip("no Docker Engine: none is reachable, and only root with dockerd starts one")
    answer = ask(Path(os.environ[KEEPER]), line)
    if answer.startswith("no: "):
        pytest.skip(f"no Docker Engine: {answer[4:]}")
    return answer


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The address of an engine; skips where there is none."""
    given = os.environ.get("DOCKER_HOST")
    if given is not None:
        return given
    return f"unix://{USUAL}" if answers(USUAL) else ask_keeper("up main")


@pytest.fixture(scope="session")
def python_image(docker_host: str) -> str:
    """The tag of an image with a shell, common commands and this machine's Python."""
    return make_image(docker_host, python=True)


def make_image(host: str, *, python: bool) -> str:
    """The tag of an image made of this machine's own files, made unless it is there.

    Without `python` it has only a shell and common commands, and is made in a moment.
    """
    from docker import DockerClient
    from docker.errors import ImageNotFound

    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no image for the Docker Engine: install busybox-static")
    made_of = f"{RECIPE} {sys.version} {Path(busybox).stat().st_size} {python}"
    tag = f"headgate-tests/base:{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    client = DockerClient(base_url=host)
    try:
        with _alone():
            try:
                client.images.get(tag)
            except ImageNotFound:
                make(client, tag, busybox=Path(busybox), python=python)
    finally:
        client.close()
    return tag


@contextmanager
def _alone() -> Iterator[None]:
    """One of all workers, and of all runs on this machine, at a time."""
    with (Path(tempfile.gettempdir()) / f"headgate-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
