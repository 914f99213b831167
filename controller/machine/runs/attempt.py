"""PURE. One try at one node of a run, and what can be known of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from controller.machine.core import Blocked, Value
from specs.model import SPEC_FILE, ExecutorKind
from specs.projects.values import Project


class Input(Value):
    """What one input of an attempt holds: a dataset version or an artifact, by digest."""

    kind: Literal["dataset", "artifact", "taken", "version"]
    """`taken`: a dataset that another node of the run took, an artifact; `version`: what is asked
    for of a database, which is nothing that could be read."""
    digest: str
    name: str = ""
    """The dataset's name in the spec, or the file name that the artifact was written under; empty
    for a dataset that was taken as a folder."""
    access: Literal["path", "uri"] = "path"
    uri: str = ""
    """Of a dataset, as the spec has it: two datasets may hold equal objects."""


class Build(Value):
    """A folder with a Dockerfile, that an image is built from."""

    context: str
    """Its path in the repository."""
    digest: str
    """Of all its files: equal digests, equal images."""


class Recipe(Value):
    """What the environment of a project is made of, at the attempt's commit."""

    project: Project
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    digest: str
    """Of the lock and what is chosen of it: equal digests, equal environments."""
    packages: str
    """Of the packages of the repository that are installed beside that."""


class Building(Value):
    """An environment that was not there when an attempt needed it."""

    name: str
    """Of its log."""
    what: Literal["environment", "packages"] = "environment"
    """`packages`: those of the repository, which lie beside it."""
    waiting: tuple[str, ...] = ()
    """The nodes of a run that wait for it."""
    since: float
    """When its building began, in seconds since the epoch."""
    seconds: float | None = None
    """How long that took; None while it goes on."""
    failed: str = ""
    """Why it cannot be built, with the installer's last words."""


class Attempt(Value):
    """One try at one node of a run, complete: nothing else decides what it does.

    `id` names the process, the container or the job: starting an attempt that was started
    before starts nothing.
    """

    id: str
    run: str
    node: str
    pipeline: str = ""
    branch: str = ""
    trusted: bool = False
    """Whether its run may release; what a pull request proposes is kept apart from what may."""
    program: Literal["step", "data_gate", "model_gate", "query"] = "step"
    """What runs: a command of the spec, or one of Headgate's own programs with `request`."""
    command: str = ""
    """The `run` line, with its placeholders."""
    repository: str
    commit: str
    folder: str
    """The spec's folder in the repository; the working directory of the command."""
    file: str = SPEC_FILE
    """The spec's name in that folder, for a model gate: it says where its checks are written."""
    files: tuple[str, ...] = ()
    """What the command finds there, by path below that folder; nothing else of the commit."""
    inputs: Mapping[str, Input] = {}
    outputs: Mapping[str, str] = {}
    """File names by output name."""
    folders: tuple[str, ...] = ()
    """Outputs that are folders, and are there when it begins."""
    params: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
    requirements: str | None = None
    """The path of the requirements file at the commit; None for a bare environment, or a
    project's."""
    project: Recipe | None = None
    python: str | None = None
    executor: ExecutorKind = "local"
    image: str | None = None
    """An immutable reference: `name@sha256:...`, or the id of an image of the engine."""
    build: Build | None = None
    """Instead of an image, what it is built from."""
    network: bool = False
    """Whether a container may use the network; a process of this machine always can."""
    cpu: float | None = None
    memory: int | None = None
    """Bytes."""
    timeout: float
    """Seconds."""
    request: Mapping[str, Any] = {}
    """For a program of Headgate's own: what it is asked, beside its inputs."""

    @property
    def contained(self) -> bool:
        """Whether it runs in a container, whose image provides its programs."""
        return self.image is not None or self.build is not None


class AttemptState(StrEnum):
    """Where an attempt is."""

    UNKNOWN = "unknown"
    """Never started here, or forgotten; start it."""
    PREPARING = "preparing"
    RUNNING = "running"
    ENDING = "ending"
    """Ended; its outputs are being stored, or what it read itself is being looked at again."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Ended with an exit code that is not 0, or could not be started."""
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    NO_ENVIRONMENT = "no_environment"
    """Its environment cannot be built, and not by trying again either."""
    CANCELLED = "cancelled"
    DATA_CHANGED = "data_changed"
    """An object of its dataset version was replaced before it was read, or while it was."""
    LOST = "lost"
    """Ended without a trace: the machine or its supervisor was killed."""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self not in (
            AttemptState.UNKNOWN,
            AttemptState.PREPARING,
            AttemptState.RUNNING,
            AttemptState.ENDING,
        )


class Status(Value):
    """What is known of an attempt."""

    state: AttemptState
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    message: str = ""
    """Why it is not a success, in a sentence, with the last lines of the log; redacted."""
    peak_memory: int | None = None
    """Bytes."""
    waits: Blocked | None = None
    """What keeps it from being prepared or from ending."""
    built: tuple[Building, ...] = ()
    """What of its environment had to be built first."""
