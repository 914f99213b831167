"""What is found in a folder, and the draft that is made of it."""

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
    """A folder as a draft sees it."""

    name: str
    files: tuple[str, ...]
    """Paths from there, those nearer to the top first."""
    read: Callable[[str], str | None]
    """The text of a file; None for one that is not there, is too large or is no text."""
    beside: Pipeline | None = None
    """A spec that the folder has already."""
    around: "Folder | None" = None
    """The rest of the repository that it is a folder of."""
    place: str = ""
    """Its path in the repository."""
    is_ignored: Callable[[str], bool] = lambda _: False
    """Whether git leaves a file alone."""

    @cached_property
    def known(self) -> frozenset[str]:
        """The files, to look them up."""
        return frozenset(self.files)

    def named(self, *names: str) -> str | None:
        """The file of the first of these names that there is, the nearest to the top."""
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
    """As it is typed, `--learning-rate`; for an argument by its place, ``."""
    dest: str
    """What the script calls it: `learning_rate`."""
    default: Scalar | None = None
    required: bool = False
    is_switch: bool = False
    """It takes no value."""


@dataclass(frozen=True, slots=True)
class Script:
    """A Python script, by its text."""

    path: str
    subcommand: str = ""
    """The one of its subcommands that this is: `train` of `python cli.py train`."""
    options: tuple[Option, ...] = ()
    opens: frozenset[str] = frozenset()
    """Options and variables whose value it reads as one file."""
    constants: tuple[str, ...] = ()
    """Its short texts, in order."""
    writes: tuple[str, ...] = ()
    """Texts that it gives as a path to what writes a file."""
    calls: frozenset[str] = frozenset()
    """Last parts of the names that it calls: `fit`, `read_csv`, `FastAPI`."""
    columns: tuple[str, ...] = ()
    """Of the tables that it makes, as far as they are written out."""
    numbers: tuple[str, ...] = ()
    """Keys of what it writes as JSON."""
    labels: tuple[str, ...] = ()
    """What it calls its label, the likeliest first."""
    is_module: bool = False
    """It imports what is beside it in its package, so it has to be run by `python -m`."""
    environ: tuple[str, ...] = ()
    """Environment variables that it asks for."""
    app: str | None = None
    """The variable that is a web application: `app`."""
    framework: Literal["asgi", "wsgi"] | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A command that the team has written down, with what it needs and makes."""

    name: str
    command: str
    """A shell line."""
    deps: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """Of `outs` those that hold the team's own numbers."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    unknown: str | None = None
    """What of it could not be understood."""


@dataclass(frozen=True, slots=True)
class Data:
    """A dataset."""

    uri: str | None
    """None: nobody knows where it is."""
    file: str | None = None
    """Its only file, by its name below what `uri` stands for."""
    expectations: str | None = None


@dataclass(frozen=True, slots=True)
class DraftStep:
    """A step of the draft."""

    run: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    reads: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    """What to say above it: where it comes from, and what is left to do."""


@dataclass(frozen=True, slots=True)
class DraftGate:
    """What the model gate is asked."""

    columns: Mapping[str, str]
    sure: bool
    """Whether the columns were seen in a script."""
    task: TaskName | None
    why: str
    """How the task was told."""
    positive: str | None = None
    """Of two words one, where they do not say which is the positive class."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """By metric, what a model that knows nothing gets."""


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
    """A spec that is about right."""

    name: str
    data: Mapping[str, Data]
    environment: str | None
    """As it stands in the spec: `{requirements: requirements.txt}`."""
    environment_said: str
    params: Mapping[str, Scalar]
    steps: Mapping[str, DraftStep]
    model: str | None
    """`steps.train.model`."""
    predictions: str | None
    judged: DraftGate | None
    metrics: str | None
    """The output with the team's own numbers, where there are no predictions."""
    numbers: tuple[str, ...]
    """What these are called, as far as it is known."""
    served: DraftServer | None
    missing: tuple[str, ...] = ()
    """Files that the spec names and that have to be written yet."""
    left_out: tuple[str, ...] = ()
    """Parts that would not have been valid, each with the reason."""
