"""PURE. An attempt at a node of a run, and its status."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from controller.machine.core import Blocked, Value
from specs.model import SPEC_FILE
from specs.projects.values import Project
from specs.resources import ExecutorKind, Training


class Input(Value):
    """An input of an attempt: a dataset version or an artifact, by digest."""

    kind: Literal["dataset", "artifact", "taken", "version"]
    """`taken`: the artifact of a node that fetches a dataset; `version`: the version of a query's
    rows, for its key only."""
    digest: str
    name: str = ""
    """The dataset's name in the spec, or the file name that the artifact was written as; empty for
    a dataset that was fetched as a folder."""
    access: Literal["path", "uri"] = "path"
    uri: str = ""
    """The dataset's address in the spec; the digest does not tell it, as two datasets may hold
    equal objects."""


class Build(Value):
    """A folder with a Dockerfile, from which an image is built."""

    context: str
    """Its path in the repository."""
    digest: str
    """Of all its files: equal digests, equal images."""


class Recipe(Value):
    """What a project's environment is built from, at the attempt's commit."""

    project: Project
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    digest: str
    """Of the lock file, groups and extras: equal digests, equal environments."""
    packages: str
    """Of the repository's own packages, which are installed on top."""


class Building(Value):
    """The build of an environment that an attempt needed and that did not exist yet."""

    name: str
    """The name of its log."""
    what: Literal["environment", "packages"] = "environment"
    """`packages`: the repository's own packages, which are installed on top."""
    waiting: tuple[str, ...] = ()
    """The nodes of a run that wait for it."""
    since: float
    """When the build began, in seconds since the epoch."""
    seconds: float | None = None
    """How long it took; None while it runs."""
    failed: str = ""
    """Why the build failed, with the end of the installer's output."""


class Attempt(Value):
    """An attempt at a node of a run; complete, so that nothing else determines what it does.

    `id` names the process, the container or the job, so that starting an attempt again does
    nothing.
    """

    id: str
    run: str
    node: str
    pipeline: str = ""
    branch: str = ""
    trusted: bool = False
    """Whether its run may release; others, such as those of pull requests, are kept apart."""
    at: float = 0.0
    """When its run began, in seconds since the epoch; 0 in an attempt of an older controller."""
    program: Literal["step", "data_gate", "history_gate", "model_gate", "query"] = "step"
    """A command of the spec, or one of Headgate's own programs, which reads `request`."""
    command: str = ""
    """The `run` command, with its placeholders."""
    repository: str
    commit: str
    folder: str
    """The spec's folder in the repository; the working directory of the command."""
    file: str = SPEC_FILE
    """The spec's file name in that folder; a model gate's report says where its checks are."""
    files: tuple[str, ...] = ()
    """The files of the commit that the command finds there, by path below that folder."""
    inputs: Mapping[str, Input] = {}
    outputs: Mapping[str, str] = {}
    """File names by output name."""
    folders: tuple[str, ...] = ()
    """Outputs that are folders, which exist when it begins."""
    params: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    requirements: str | None = None
    """The path of the requirements file at the commit; None for an environment without one."""
    project: Recipe | None = None
    python: str | None = None
    executor: ExecutorKind = "local"
    image: str | None = None
    """An immutable reference: `name@sha256:...`, or the id of an image in the engine."""
    build: Build | None = None
    """What the image is built from, if it is not named."""
    network: bool = False
    """Whether a container may use the network; a local process always may."""
    cpu: float | None = None
    memory: int | None = None
    """Bytes."""
    gpu: int | None = None
    devices: Mapping[str, int] = {}
    """Extended resources of a cluster, by name."""
    profile: str | None = None
    """The profile of the settings that says how it runs on a cluster; None for the default."""
    queue: str | None = None
    """The queue in which it waits for a cluster's quota; None for the profile's, if any."""
    train: Training | None = None
    """On how many nodes of a cluster its command runs at once, and how they find each other."""
    timeout: float
    """Seconds."""
    request: Mapping[str, Any] = {}
    """For one of Headgate's own programs: what to do with its inputs."""

    @property
    def contained(self) -> bool:
        """Whether it runs in a container, with the programs of its image."""
        return self.image is not None or self.build is not None


class AttemptState(StrEnum):
    """Where an attempt is."""

    UNKNOWN = "unknown"
    """The executor does not know it: it has to be started."""
    PREPARING = "preparing"
    RUNNING = "running"
    ENDING = "ending"
    """Ended; its outputs are being stored, or the data that it read by address is checked again."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Ended with an exit code that is not 0, or could not be started."""
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    NO_ENVIRONMENT = "no_environment"
    """Its environment cannot be built; a retry would not help."""
    CANCELLED = "cancelled"
    DATA_CHANGED = "data_changed"
    """An object of its dataset version was replaced before or while it was read."""
    LOST = "lost"
    """Ended without a record: the machine or the supervisor was killed."""

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (
            AttemptState.UNKNOWN,
            AttemptState.PREPARING,
            AttemptState.RUNNING,
            AttemptState.ENDING,
        )


class Status(Value):
    """The status of an attempt."""

    state: AttemptState
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    message: str = ""
    """Why it did not succeed: a sentence, and the end of the log; redacted."""
    peak_memory: int | None = None
    """Bytes."""
    waits: Blocked | None = None
    """What its preparation or its end waits for."""
    built: tuple[Building, ...] = ()
    """The parts of its environment that had to be built first."""
