"""The Docker Engine for the story in containers: a running one, or one that the demo starts."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from examples.demo.data import Data
from examples.demo.image import RECIPE, make
from specs.digests import digest
from tests.engine_keeper import answers, ask, start

USUAL = Path("/var/run/docker.sock")
PATIENCE = 30.0
"""Seconds that the keeper of the demo's own engine may take to listen."""


class NoEngine(Exception):  # noqa: N818 - the name says what is missing
    """There is no engine and none can be started; the message says how to fix it."""


class Containers(NamedTuple):
    """What the story has to know to run in containers."""

    host: str
    image: str
    """The tag of the image with all packages of the steps and the model server."""

    @property
    def settings(self) -> str:
        """Lines of headgate.yaml."""
        return f"docker: {{host: '{self.host}'}}\n"


@contextlib.contextmanager
def containers(data: Data, say: Callable[[str], None]) -> Iterator[Containers]:
    """An engine with the image. Raises `NoEngine`."""
    with _engine() as host:
        yield Containers(host, _image(host, data, say))


@contextlib.contextmanager
def _engine() -> Iterator[str]:
    given = os.environ.get("DOCKER_HOST")
    if given or answers(USUAL):
        yield given or f"unix://{USUAL}"
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NoEngine(
            f"no Docker Engine answers at {USUAL}, and only root with dockerd can start one: start "
            "it, set DOCKER_HOST, or install it (on Debian: apt install docker.io)"
        )
    folder = Path(tempfile.mkdtemp(prefix="hge-"))
    keeper = start(folder)
    try:
        answer = _asked(folder, keeper)
        if answer.startswith("no: "):
            raise NoEngine(f"no Docker Engine answers at {USUAL}, and {answer[4:]}")
        yield answer
    finally:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait()


def _asked(folder: Path, keeper: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (folder / "keeper.sock").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            return "no: the keeper of the demo's own engine does not start"
        time.sleep(0.05)
    return ask(folder, "up main")


def _image(host: str, data: Data, say: Callable[[str], None]) -> str:
    from docker import DockerClient
    from docker.errors import ImageNotFound

    made_of = f"{RECIPE} {sys.version} {data.requirements}".encode()
    tag = f"headgate-demo/flight-delay:{digest(made_of)[7:23]}"
    client = DockerClient(base_url=host)
    try:
        try:
            client.images.get(tag)
        except ImageNotFound:
            say("building the image for the training steps and the model server")
            make(client, tag, busybox=None, python=True, packages=data.packages)
    finally:
        client.close()
    return tag
