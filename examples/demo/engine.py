"""What runs the steps and the model servers of the story: processes, or a Docker Engine, which is
one that answers here or one that the demo starts."""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployers.place_folder import HOST
from examples.demo.data import Data
from examples.demo.image import RECIPE, all_of, make
from specs.digests import digest
from tests.engine_keeper import answers, ask, start

USUAL = Path("/var/run/docker.sock")
PATIENCE = 30.0
"""Seconds that the keeper of the demo's own engines may take to listen."""
ENVIRONMENT = "environment: {requirements: requirements.txt}"
"""The line of the example's spec that says where steps and servers run."""

Say = Callable[[str], None]


class NoEngine(Exception):  # noqa: N818 - the name says what is missing
    """There is no engine and none can be started; the message says how to fix it."""


@dataclass(frozen=True)
class StoryEngine:
    """What the story has to know of what runs its steps and servers; by default, processes."""

    settings: str = ""
    """Lines of headgate.yaml."""
    changes: Mapping[str, str] = field(default_factory=dict)
    """Texts of the spec, and what the story has in their place."""
    docker: str | None = None
    """The Docker Engine that may have containers of the story."""
    machine: str = HOST
    """The address at which steps reach this machine."""
    remote: bool = False
    """Whether steps and servers are on a cluster, which reaches no directory of this machine."""
    rate: int = 200
    """Requests per second that production gets all the time."""
    look: str = ""
    """A command that shows what runs there."""
    told: Callable[[], str] = str
    """What there is to say of it at the end."""


@contextlib.contextmanager
def containers(data: Data, say: Say) -> Iterator[StoryEngine]:
    """A Docker Engine with the image. Raises `NoEngine`."""
    with _engine() as host:
        image = training_image(host, data, say)
        yield StoryEngine(
            settings=f"docker: {{host: '{host}'}}\n",
            changes={ENVIRONMENT: f"environment: {{image: {image}}}"},
            docker=host,
        )


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
    with keeper() as asked:
        answer = asked("up main")
        if answer.startswith("no: "):
            raise NoEngine(f"no Docker Engine answers at {USUAL}, and {answer[4:]}")
        yield answer


@contextlib.contextmanager
def keeper() -> Iterator[Callable[[str], str]]:
    """What starts engines and clusters when it is asked to, and ends them with the block."""
    folder = Path(tempfile.mkdtemp(prefix="hge-"))
    process = start(folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "keeper.sock").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoEngine("the keeper of the demo's own engine does not start")
            time.sleep(0.05)
        yield lambda line: ask(folder, line)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def training_image(host: str, data: Data, say: Say) -> str:
    """The tag of the image with all that the training steps and the model server import."""
    from docker import DockerClient
    from docker.errors import ImageNotFound

    made_of = f"{RECIPE} {sys.version} {data.requirements}".encode()
    tag = f"headgate-demo/flight-delay:{digest(made_of)[7:23]}"
    client = DockerClient(base_url=host)
    try:
        try:
            client.images.get(tag)
        except ImageNotFound:
            say("making the image of the training steps and the model server")
            make(client, tag, busybox=None, python=True, packages=all_of(data.packages))
    finally:
        client.close()
    return tag
