"""One attempt as a container: creating it, reading its state, and interpreting its exit."""

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
"""How much of a step's output is kept: half from the head, half from the tail."""
_KILLED = (137, 143)
"""Exit codes by SIGKILL and SIGTERM."""
_UNKNOWN_TO_ENGINE = 255
"""The exit code that the engine reports for a container that ended while the engine was down."""


class ObservedContainer(NamedTuple):
    """A container, as the engine reports it."""

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
        """Whether it ran and has ended."""
        return self.begun and self.state in ("exited", "dead")


def inspect(client: "DockerClient", name: str) -> ObservedContainer | None:
    """A container as it is now; None if there is none of that name."""
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
    """Create the container and start it. One of the same name was never started: it is replaced."""
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
            entrypoint=[program],  # else the image's own entrypoint would run it
            name=name,
            labels=engine.labels("step", attempt.id),
            working_dir=str(prepared.folder),
            environment=prepared.environment,
            mounts=list(_mounts(own, prepared)),
            network_mode=None if attempt.network else "none",
            **confined(cpu=attempt.cpu, memory=attempt.memory),
        )
    except ImageNotFound:
        raise TryAgain(
            f"the image {image} was removed in the meantime; it is pulled or built again"
        ) from None
    try:
        made.start()
    except BaseException:
        made.remove(force=True)
        raise
    (own / "container.started").touch()


def _mounts(own: Path, prepared: Prepared) -> Iterable[Any]:
    """The paths are the same inside as outside, so the command works unchanged."""
    from docker.types import Mount

    for name in WRITABLE:
        yield Mount(str(own / name), str(own / name), type="bind")
    for path in (own / "inputs", *prepared.data):
        yield Mount(str(path), str(path), type="bind", read_only=True)


class ContainerOutput:
    """Writes a container's output to the attempt's bounded log, each byte once.

    The engine can only send the output from the beginning, so what was already written is skipped.
    """

    def __init__(self, folder: Path) -> None:
        self._log = BoundedLog(LOG_BYTES, str(folder), resume=True)
        self._skip = self._log.seen

    @property
    def short(self) -> bool:
        """Whether reading all of it once more is cheap."""
        return self._log.seen < LOG_BYTES // 2

    def rewind(self) -> None:
        """The next bytes to be written are the first of the output again."""
        self._skip = self._log.seen

    def write(self, data: bytes) -> None:
        """Write the next bytes of the output."""
        skipped = min(len(data), self._skip)
        self._skip -= skipped
        if skipped < len(data):
            self._log.write(data[skipped:])

    def close(self) -> None:
        """Join the log's head and tail."""
        self._log.close()


def interpret_exit(
    seen: ObservedContainer, stopped: str | None, *, unobserved: bool
) -> tuple[AttemptState, str]:
    """What the exit of a container means, as a state and as a message. Pure.

    `stopped` is why Headgate stopped it, if it did (see `stop_reason`); `unobserved` says whether
    the engine was down at some time while it ran.
    """
    if stopped == "timeout":
        return (
            AttemptState.TIMED_OUT,
            "it reached its timeout; raise `timeout` or make the step faster",
        )
    if stopped is not None:
        return AttemptState.CANCELLED, "it was cancelled"
    if seen.out_of_memory:  # even if only a child was killed and the step itself exited with 0
        return AttemptState.OUT_OF_MEMORY, "it ran out of memory; raise `resources.memory`"
    if seen.exit_code in _KILLED or (unobserved and seen.exit_code == _UNKNOWN_TO_ENGINE):
        what = f"its container was killed from outside (exit code {seen.exit_code})"
        return AttemptState.LOST, f"{what}: by somebody, or as the Docker Engine was stopped"
    if seen.exit_code:
        return AttemptState.FAILED, f"it ended with exit code {seen.exit_code}"
    return AttemptState.SUCCEEDED, ""


def request_stop(own: Path, why: str) -> None:
    """Record why the attempt is stopped, before it is; the first reason stays."""
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    scratch = own / f".stop-{why}"
    scratch.write_text(why)
    with contextlib.suppress(FileExistsError):
        os.link(scratch, own / "container.stop")
    scratch.unlink()


def stop_reason(own: Path) -> str | None:
    """Why the attempt is stopped; None if it is not."""
    try:
        return (own / "container.stop").read_text()
    except FileNotFoundError:
        return None


def booted_since(moment: float) -> bool:
    """Whether the machine was booted after that moment (seconds since the epoch)."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) > moment


def _moment(text: str) -> float | None:
    """Seconds since the epoch; None for the year 1, by which the engine means never."""
    if text.startswith("0001"):
        return None
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
