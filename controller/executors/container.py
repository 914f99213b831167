"""One attempt as a container: how it is made, whose its files are, and what its end means."""

import contextlib
import os
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.executors.ownership import WRITABLE, hand_over
from controller.executors.workspace import Prepared
from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.bounded_log import BoundedLog
from deployers.engine import Engine, confined, owner
from specs.failures import TryAgain

if TYPE_CHECKING:
    from docker import DockerClient

LOG_BYTES = 4 * 2**20
"""Of a step's output, this much is kept: half from the head, half from the tail."""
_KILLED = (137, 143)
"""Exit codes by SIGKILL and SIGTERM."""
_UNKNOWN_TO_ENGINE = 255
"""What the engine says of a container that ended while the engine itself was down."""


class ObservedContainer(NamedTuple):
    """A container, as the engine tells."""

    id: str
    state: str
    exit_code: int
    out_of_memory: bool
    started: float | None
    ended: float | None
    """Both in seconds since the epoch."""

    @property
    def begun(self) -> bool:
        """Whether it ever ran."""
        return self.started is not None

    @property
    def over(self) -> bool:
        """Whether it ran and does not any more."""
        return self.begun and self.state in ("exited", "dead")


def inspect(client: "DockerClient", name: str) -> ObservedContainer | None:
    """Look at a container; None where there is none."""
    from docker.errors import NotFound

    try:
        found = client.containers.get(name).attrs
    except NotFound:
        return None
    state = found["State"]
    return ObservedContainer(
        id=found["Id"],
        state=state["Status"],
        exit_code=state["ExitCode"],
        out_of_memory=state["OOMKilled"],
        started=_moment(state["StartedAt"]),
        ended=_moment(state["FinishedAt"]),
    )


def launch(
    client: "DockerClient",
    engine: Engine,
    attempt: Attempt,
    own: Path,
    prepared: Prepared,
    image: str,
) -> None:
    """Make the container and start it; what is there of that name was never started, and goes."""
    from docker.errors import ImageNotFound, NotFound

    name = engine.container(attempt.id)
    with contextlib.suppress(NotFound):
        client.api.remove_container(name, force=True)
    hand_over(own, owner())
    program, *arguments = prepared.argv
    try:
        made = client.containers.create(
            image,
            arguments,
            entrypoint=[program],  # else the image's own comes before it
            name=name,
            labels=engine.labels("step", attempt.id),
            working_dir=str(prepared.folder),
            environment=prepared.environment,
            mounts=list(_mounts(own, prepared)),
            network_mode=None if attempt.network else "none",
            **confined(cpu=attempt.cpu, memory=attempt.memory),
        )
    except ImageNotFound:
        raise TryAgain(f"the image {image} was removed meanwhile; it is had again") from None
    try:
        made.start()
    except BaseException:
        made.remove(force=True)
        raise
    (own / "container.started").touch()


def _mounts(own: Path, prepared: Prepared) -> Iterable[Any]:
    """The same paths inside as outside, so that the command means the same."""
    from docker.types import Mount

    for name in WRITABLE:
        yield Mount(str(own / name), str(own / name), type="bind")
    for path in (own / "inputs", *prepared.data):
        yield Mount(str(path), str(path), type="bind", read_only=True)


class Output:
    """Its output as it comes, in the attempt's bounded log; what was written is not again.

    The engine can only tell all of it from the beginning, so that much is passed over.
    """

    def __init__(self, folder: Path) -> None:
        self._log = BoundedLog(LOG_BYTES, str(folder), resume=True)
        self._pass_over = self._log.seen

    @property
    def short(self) -> bool:
        """Whether it is so little that telling all of it once more costs nothing."""
        return self._log.seen < LOG_BYTES // 2

    def again(self) -> None:
        """It is told from the beginning."""
        self._pass_over = self._log.seen

    def take(self, data: bytes) -> None:
        """What comes next of it."""
        passed = min(len(data), self._pass_over)
        self._pass_over -= passed
        if passed < len(data):
            self._log.write(data[passed:])

    def close(self) -> None:
        """Join its head and its tail."""
        self._log.close()


def meaning(seen: ObservedContainer, asked: str | None, unseen: bool) -> tuple[AttemptState, str]:
    """What an end means, and in words. `asked`: why we ended it, if we did (`stop` fact);
    `unseen`: whether the engine itself was away while it ran. Pure."""
    if asked == "timeout":
        return (
            AttemptState.TIMED_OUT,
            "it was ended at its timeout; raise `timeout` or make it faster",
        )
    if asked is not None:
        return AttemptState.CANCELLED, "it was cancelled"
    if seen.out_of_memory:  # also where only a child was killed, and the step went on without it
        return AttemptState.OUT_OF_MEMORY, "it ran out of memory; raise `resources.memory`"
    if seen.exit_code in _KILLED or (unseen and seen.exit_code == _UNKNOWN_TO_ENGINE):
        what = f"its container was killed from outside (exit code {seen.exit_code})"
        return AttemptState.LOST, f"{what}: the Docker Engine was stopped, or somebody ended it"
    if seen.exit_code:
        return AttemptState.FAILED, f"it ended with exit code {seen.exit_code}"
    return AttemptState.SUCCEEDED, ""


def note_stop(own: Path, why: str) -> None:
    """Note that we end it, before we do; the first reason stays."""
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = own / f".stop-{why}"
    scratch.write_text(why)
    with contextlib.suppress(FileExistsError):
        os.link(scratch, own / "container.stop")
    scratch.unlink()


def stop_noted(own: Path) -> str | None:
    """Why we end it, if we do."""
    try:
        return (own / "container.stop").read_text()
    except FileNotFoundError:
        return None


def booted_since(moment: float) -> bool:
    """Whether the machine was started after a moment."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) > moment


def _moment(text: str) -> float | None:
    """As the engine writes it, in nanoseconds; the year 1 is never."""
    if text.startswith("0001"):
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
