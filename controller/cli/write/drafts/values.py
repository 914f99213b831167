"""Values: what is found in a folder, and the draft that is made from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal

from specs.base import Scalar
from specs.gates import TaskName
from specs.model import Pipeline

Role = Literal["prepare", "train", "evaluate", "serve"]
"""What a script is for."""


@dataclass(frozen=True)
class Folder:
    """A folder to draft a spec for."""

    name: str
    files: tuple[str, ...]
    """Relative paths, those nearest to the top first."""
    read: Callable[[str], str | None]
    """The text of a file; None if it does not exist, is too large or is not text."""
    beside: Pipeline | None = None
    """A spec that the folder already has."""
    around: "Folder | None" = None
    """The rest of its repository, if it is not the top folder."""
    place: str = ""
    """Its path in the repository."""
    is_ignored: Callable[[str], bool] = lambda _: False
    """Whether git ignores a file."""

    @cached_property
    def known(self) -> frozenset[str]:
        """The files as a set."""
        return frozenset(self.files)

    def named(self, *names: str) -> str | None:
        """The file with the first of these names that exists, nearest to the top."""
        by_name: dict[str, str] = {}
        for file in self.files:
            by_name.setdefault(PurePosixPath(file).name, file)
        return next((by_name[name] for name in names if name in by_name), None)

    def below(self, folder: str) -> tuple[str, ...]:
        """The files below a folder."""
        return tuple(file for file in self.files if file.startswith(f"{folder.rstrip('/')}/"))


@dataclass(frozen=True, slots=True)
class Option:
    """An option or argument of a script."""

    flag: str
    """`--learning-rate`; empty for a positional argument."""
    dest: str
    """Its name in the script: `learning_rate`."""
    default: Scalar | None = None
    required: bool = False
    is_switch: bool = False
    """Whether it takes no value."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the text of a Python script says about it."""

    path: str
    subcommand: str = ""
    """If it has subcommands, which of them this is: `train` in `python cli.py train`."""
    options: tuple[Option, ...] = ()
    opens: frozenset[str] = frozenset()
    """Options and variables whose value it reads as a single file."""
    constants: tuple[str, ...] = ()
    """Its short string constants, in order."""
    writes: tuple[str, ...] = ()
    """String constants that it passes as a path to a call that writes a file."""
    calls: frozenset[str] = frozenset()
    """The last parts of the names that it calls: `fit`, `read_csv`, `FastAPI`."""
    columns: tuple[str, ...] = ()
    """The columns of the tables that it makes, as far as they are literals."""
    numbers: tuple[str, ...] = ()
    """The keys of the JSON that it writes."""
    labels: tuple[str, ...] = ()
    """What may be the name of its label column, the likeliest first."""
    is_module: bool = False
    """Whether it has relative imports, so that it has to be run with `python -m`."""
    environ: tuple[str, ...] = ()
    """The environment variables that it reads."""
    app: str | None = None
    """The variable with its web application: `app`."""
    framework: Literal["asgi", "wsgi"] | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A command in a build file, with its inputs and outputs."""

    name: str
    command: str
    """A shell line."""
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """Those of `outs` that contain metrics."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    unknown: str | None = None
    """What could not be translated."""


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset."""

    uri: str | None
    """None if it is unknown."""
    file: str | None = None
    """The path of its only file, relative to `uri`."""
    expectations: str | None = None
    is_proposed: bool = False
    """Whether the suite is written together with the spec, from the data."""


@dataclass(frozen=True, slots=True)
class DraftStep:
    """A step of the draft."""

    run: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    """The comments above it: where it comes from, and TODOs."""


@dataclass(frozen=True, slots=True)
class DraftGate:
    """The draft of the model gate."""

    columns: Mapping[str, str]
    sure: bool
    """Whether the columns were seen in a script."""
    task: TaskName | None
    why: str
    """Why this task was chosen."""
    positive: str | None = None
    """The positive class, if the two labels do not make it clear."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """The metrics of a constant prediction, by metric name."""


@dataclass(frozen=True, slots=True)
class DraftServer:
    """The model server."""

    run: str
    ready: str = "/healthz"
    predict: str = "/predict"
    reads: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft of a spec."""

    name: str
    data: Mapping[str, Data]
    environment: str | None
    """As YAML: `{requirements: requirements.txt}`."""
    environment_said: str
    params: Mapping[str, Scalar]
    steps: Mapping[str, DraftStep]
    model: str | None
    """`steps.train.model`."""
    predictions: str | None
    judged: DraftGate | None
    metrics: str | None
    """The output with the team's own metrics, if there are no predictions."""
    numbers: tuple[str, ...]
    """The names of these metrics, as far as they are known."""
    served: DraftServer | None
    missing: tuple[str, ...] = ()
    """Files that the spec names and that do not exist yet."""
    left_out: tuple[str, ...] = ()
    """The parts that were left out because they were not valid, each with the reason."""
