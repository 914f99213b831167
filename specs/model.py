"""The pipeline: everything that ml-pipeline.yaml can contain, as frozen values."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from specs.base import (
    MOST_GLOBS,
    Approver,
    Location,
    Many,
    Name,
    PipelineName,
    RelativePath,
    RepositoryFolder,
    RepositoryPath,
    Scalar,
    Spec,
    Text,
    Variable,
)
from specs.caching import Cache
from specs.contracts import file_of, object_of
from specs.csv_files import CsvFiles
from specs.dataset_checks import DatasetCheck
from specs.datasets import Query
from specs.gates import Gates
from specs.names import slug
from specs.notifications import Notification
from specs.references import OutputReference, Reference
from specs.release import Release
from specs.resources import ExecutorKind, QueueName, Resources, Training
from specs.schedule import ScheduleTrigger
from specs.suites import Suite, plain_suite
from specs.values import Duration

SPEC_FILE = "ml-pipeline.yaml"
SPEC_FILES: Final = (SPEC_FILE, "ml-pipeline.*.yaml")
"""Globs of the file names of specs: of a single one, and of several in a folder."""
_SPEC_FILE: Final = re.compile(r"ml-pipeline(\.(?P<name>[a-z0-9][a-z0-9-]*))?\.yaml")
_MISNAMED: Final = re.compile(r"ml[-_. ]?pipelines?([._](?P<name>[\w.-]+?))?\.ya?ml", re.IGNORECASE)
API_VERSION = "headgate.dev/v1"
DATA = "data."
"""The prefix of the names of nodes that fetch a dataset."""

Access = Literal["path", "uri"]
OnFailure = Literal["stop", "use_last_good"]
Engine = Literal["headgate", "spark"]
ColumnType = Literal["string", "int64", "double", "decimal", "bool", "date", "timestamp"]


def place_of(command: str) -> tuple[str, ...]:
    """The place in the spec of a command of `Pipeline.commands`."""
    fetched = command.startswith(DATA)
    return ("datasets", command.removeprefix(DATA), "fetch") if fetched else ("steps", command)


def is_spec_file(name: str) -> bool:
    """Whether a file of that name is a spec: `ml-pipeline.yaml`, or `ml-pipeline.NAME.yaml` if a
    folder has several."""
    return _SPEC_FILE.fullmatch(name) is not None


def spec_path(place: str) -> str:
    """The path of a spec in a stored state; states of older controllers have its folder instead."""
    if is_spec_file(place.rpartition("/")[2]):
        return place
    return f"{place}/{SPEC_FILE}" if place else SPEC_FILE


def misnamed(name: str) -> str | None:
    """The right name for a file whose name is almost that of a spec; None for a spec and for any
    other file."""
    found = _MISNAMED.fullmatch(name)
    if found is None or is_spec_file(name):
        return None
    own = slug(found["name"]) if found["name"] else ""
    return f"ml-pipeline.{own}.yaml" if own else SPEC_FILE


def named_by(folder: str, file: str) -> str:
    """The name of a pipeline by the path of its spec: the name of its folder (empty at the root of
    the repository), then the `NAME` of `ml-pipeline.NAME.yaml`."""
    found = _SPEC_FILE.fullmatch(file)
    own = found["name"] if found else None
    return "-".join(part for part in (folder, own) if part)


def spec_order(path: str) -> tuple[str, bool, str]:
    """A key to sort the paths of specs: by folder, with `ml-pipeline.yaml` first."""
    folder, _, file = path.rpartition("/")
    return folder, file != SPEC_FILE, file


class Metadata(Spec):
    """The pipeline's name and owners."""

    name: PipelineName = Field(description="Lower-case letters, digits and dashes.")
    owners: Many[Text] = Field(default=(), description="People or teams, such as @flights-ml.")


class CommitTrigger(Spec):
    """Which commits start a run."""

    enabled: bool = Field(default=True, description="Whether commits start runs at all.")
    paths: Many[RepositoryPath] = Field(
        default=("**", "!**/*.md", "!docs/**"),
        max_length=MOST_GLOBS,
        description="Globs below the spec's folder, or from the repository's root as `//src/**`; "
        "the last match decides, `!` excludes.",
    )
    branches: Many[Text] = Field(
        default=(),
        description="Globs of the branches to watch, as listed on the default branch. By default "
        "only the default branch.",
    )
    supersede: Literal["cancel", "queue"] = Field(
        default="cancel",
        description="What happens to an older commit of a branch that is running or waiting when a "
        "newer one arrives: `cancel` ends it unless both would run the same, `queue` runs one "
        "after the other. For a pull request, only the head is run.",
    )


class PullRequestTrigger(Spec):
    """Which pull requests are run, and with which secrets."""

    enabled: bool = Field(default=True, description="Whether to run them and report on them.")
    secrets: Many[Variable] = Field(
        default=(),
        description="Secrets that steps also get in runs of pull requests, but never of forks. "
        "Both the base branch and the default branch have to name them.",
    )


class DataTrigger(Spec):
    """Which datasets start a run when they change, and when a change is complete."""

    datasets: Many[Name] = Field(min_length=1, description="Names under `datasets`.")
    quiet: Duration = Field(
        default=timedelta(seconds=30),
        description="How long the data has to be unchanged to count as complete. A commit of a "
        "table is complete at once unless this is set.",
    )
    marker: Text | None = Field(
        default=None,
        description="The file that marks the data as complete, such as _SUCCESS; replaces `quiet`.",
    )


class Triggers(Spec):
    """What starts a run. Commits and pull requests do by default."""

    commits: CommitTrigger = Field(default=CommitTrigger(), description="New commits.")
    pull_requests: PullRequestTrigger = Field(
        default=PullRequestTrigger(), description="Pull requests."
    )
    data: DataTrigger | None = Field(default=None, description="New data.")
    schedule: ScheduleTrigger | None = Field(default=None, description="The clock.")


class Column(Spec):
    """What may be done with a column of a dataset."""

    examples: bool = Field(
        default=False,
        description="Whether reports may show a few of its values that fail the suite, at most 5 "
        "of up to 40 characters each. Without it they have counts and aggregates only.",
    )


class Dataset(Spec):
    """Data, and the expectations that it has to meet."""

    uri: Location | None = Field(
        default=None,
        description="s3://, gs://, az:// or file://, or a path in the repository; may contain "
        "globs.",
    )
    query: Query | None = Field(
        default=None, description="Instead of `uri`: the rows that a database statement selects."
    )
    fetch: "Fetch | None" = Field(
        default=None, description="Instead of `uri`: a command that fetches the data."
    )
    expectations: Suite | None = Field(
        default=None,
        description="A Great Expectations suite: the path of its file, JSON or YAML, or the suite "
        "itself. Or the path of a data contract (ODCS 3); FILE#OBJECT names one of its objects.",
    )
    custom_expectations: RepositoryPath | None = Field(
        default=None,
        description="A Python module that defines expectations of your own, for the suite; a gate "
        "of their own judges them.",
    )
    checks: Many[DatasetCheck] = Field(
        default=(),
        description="Checks of a version against the versions before it and against other "
        "datasets; a gate of their own judges them.",
    )
    types: Mapping[Text, ColumnType] = Field(
        default={},
        description="The types of columns, by name, for the suite. By default they are inferred.",
    )
    nulls: Many[str] = Field(
        default=("",),
        description="The texts of CSV and TSV that mean null; by default only the empty text.",
    )
    csv: CsvFiles | None = Field(
        default=None, description="How its CSV, TSV and .txt files are written, if not as usual."
    )
    columns: Mapping[Text, Column] = Field(
        default={}, description="What reports may show of columns, by name."
    )
    engine: Engine = Field(
        default="headgate", description="Who judges the suite: Headgate, or Apache Spark."
    )
    on_failure: OnFailure = Field(
        default="stop",
        description="What happens when a new version fails its gate: `stop` runs nothing on it, "
        "`use_last_good` goes on with the last version that passed. Only for data that has a "
        "version before a run starts, and is not in the repository.",
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(each is not None for each in (self.uri, self.query, self.fetch)) != 1:
            raise ValueError("expected exactly one of `uri`, `query` and `fetch`")
        if self.on_failure == "use_last_good" and not self.is_versioned:
            raise ValueError(
                "expected a `uri`, or a query with a `version`, for `on_failure: use_last_good`: "
                "other data has no earlier version to read"
            )
        return self

    @property
    def examples(self) -> tuple[str, ...]:
        """The columns of which reports may show values, in order."""
        return tuple(sorted(name for name, one in self.columns.items() if one.examples))

    @property
    def is_versioned(self) -> bool:
        """Whether its version is known before anything has run."""
        return self.uri is not None or (self.query is not None and self.query.version is not None)

    @property
    def is_judged(self) -> bool:
        """Whether it has a gate of its own."""
        return self.expectations is not None or bool(self.checks)

    @property
    def suite_file(self) -> str | None:
        """The path of its suite; None without one, or if the suite is in the spec."""
        return file_of(self.expectations) if isinstance(self.expectations, str) else None

    @property
    def contract_object(self) -> str | None:
        """The object of a data contract that its `expectations` name."""
        return object_of(self.expectations) if isinstance(self.expectations, str) else None

    @property
    def inline_suite(self) -> dict[str, Any] | None:
        """The suite that is in the spec, as plain JSON; None without one, or if it is a file."""
        if self.expectations is None or isinstance(self.expectations, str):
            return None
        return plain_suite(self.expectations)

    @property
    def address(self) -> str:
        """Where it comes from, in one line for people."""
        if self.query is not None:
            return f"a query of {self.query.url}"
        return self.uri or (f"`{self.fetch.run}`" if self.fetch else "")


class Environment(Spec):
    """Where steps and the model server run, unless a step says otherwise."""

    requirements: RepositoryPath | None = Field(
        default=None,
        description="A pip requirements file; the environment is built once per content.",
    )
    project: RepositoryFolder | None = Field(
        default=None,
        description="Instead of `requirements`: the folder of a pyproject.toml with its uv.lock, "
        "poetry.lock or pylock.toml, or of an environment.yml; `//` starts at the repository's "
        "root.",
    )
    groups: Many[Text] = Field(
        default=(), description="Dependency groups of `project` to install as well."
    )
    extras: Many[Text] = Field(default=(), description="Extras of `project` to install as well.")
    python: Text | None = Field(
        default=None,
        pattern=r"^3\.\d+(\.\d+)?$",
        description="The Python version, such as 3.11; by default the controller's own.",
    )
    executor: ExecutorKind | None = Field(
        default=None, description="By default docker for steps with an image, and local for others."
    )
    image: Text | None = Field(default=None, description="The image, best as name@sha256:DIGEST.")
    build: RepositoryFolder | None = Field(
        default=None, description="Instead of `image`: the folder of a Dockerfile to build."
    )
    resources: Resources = Field(default=Resources(), description="The limits of each step.")
    profile: Name | None = Field(
        default=None, description="How steps run on Kubernetes: a profile of the settings."
    )
    queue: QueueName | None = Field(
        default=None,
        description="The queue of Kueue in which steps wait; by default the profile's.",
    )


class Step(Spec):
    """One command of the pipeline."""

    run: Text = Field(
        description=(
            "The command, with {inputs.NAME}, {outputs.NAME}, {params.NAME} and {root}, the "
            "repository's root. It is split like a shell line, but not run by a shell."
        )
    )
    inputs: Mapping[Name, Reference] = Field(
        default={},
        description="Datasets and outputs of other steps, by the name the step uses for them.",
    )
    outputs: Mapping[Name, RelativePath] = Field(default={}, description="File names, by name.")
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads; `//src/**` starts at the repository's root. The "
        "default is every file that `triggers.commits` admits.",
    )
    params: Mapping[Name, Scalar] = Field(
        default={}, description="Parameters of this step, which override the pipeline's."
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="How long it may run.")
    retries: int = Field(default=0, ge=0, le=10, description="Retries after a failure.")
    backoff: Duration = Field(
        default=timedelta(seconds=10), description="The wait before a retry; doubles each time."
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables, with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the step as environment variables."
    )
    access: Mapping[Name, Access] = Field(
        default={},
        description="For each input: a local path (the default), or the URI and versions.",
    )
    executor: ExecutorKind | None = Field(default=None, description="Overrides the environment's.")
    image: Text | None = Field(default=None, description="Overrides the environment's.")
    build: RepositoryFolder | None = Field(default=None, description="Overrides the environment's.")
    network: bool = Field(default=False, description="Whether its container may use the network.")
    resources: Resources | None = Field(default=None, description="Overrides the environment's.")
    profile: Name | None = Field(default=None, description="Overrides the environment's.")
    queue: QueueName | None = Field(default=None, description="Overrides the environment's.")
    train: Training | None = Field(default=None, description="On which nodes it runs at once.")
    cache: Cache = Field(
        default="always",
        description="Whether to reuse the result of an identical step: always, never (it runs in "
        "every run), or {for: 24h}, up to that age. Steps that read its outputs depend on their "
        "content.",
    )


class Fetch(Spec):
    """A command that fetches a dataset. The digest of the content is its version."""

    run: Text = Field(
        description="The command, with {output}, {params.NAME} and {root}; not run by a shell. "
        "{output} is an empty folder or, with `file`, the path of that file."
    )
    file: RelativePath | None = Field(
        default=None, description="The single file that it writes, such as orders.csv."
    )
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads; `//src/**` starts at the repository's root. The "
        "default is every file that `triggers.commits` admits.",
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables, with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the command as environment variables."
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="How long it may run.")
    retries: int = Field(default=0, ge=0, le=10, description="Retries after a failure.")
    backoff: Duration = Field(
        default=timedelta(seconds=10), description="The wait before a retry; doubles each time."
    )
    executor: ExecutorKind | None = Field(default=None, description="Overrides the environment's.")
    image: Text | None = Field(default=None, description="Overrides the environment's.")
    build: RepositoryFolder | None = Field(default=None, description="Overrides the environment's.")
    network: bool = Field(default=True, description="Whether its container may use the network.")
    resources: Resources | None = Field(default=None, description="Overrides the environment's.")
    profile: Name | None = Field(default=None, description="Overrides the environment's.")
    queue: QueueName | None = Field(default=None, description="Overrides the environment's.")
    cache: Cache = Field(
        default="never",
        description="Whether to reuse fetched data: never (every run fetches it), {for: 24h} up "
        "to that age, or always.",
    )

    def as_step(self, name: str) -> Step:
        """The step that fetches the dataset of that name."""
        own = {field: getattr(self, field) for field in type(self).model_fields if field != "file"}
        return Step(**own, outputs={"data": self.file or name})


class Policy(Spec):
    """Approval of changes to the rules."""

    approvers: Many[Approver] = Field(
        default=(),
        description="Who may approve a pull request that loosens a rule: @person or "
        "@organisation/team; by default the administrators of the repository. The list on the "
        "base branch counts.",
    )


class Pipeline(Spec):
    """An ml-pipeline.yaml."""

    api_version: Literal["headgate.dev/v1"] = Field(
        alias="apiVersion", description="The version of this format."
    )
    kind: Literal["MLPipeline"] = Field(description="Always MLPipeline.")
    metadata: Metadata = Field(description="Name and owners.")
    triggers: Triggers = Field(default=Triggers(), description="What starts a run.")
    datasets: Mapping[Name, Dataset] = Field(default={}, description="The data, by name.")
    params: Mapping[Name, Scalar] = Field(
        default={}, description="Parameters for all steps: text, numbers, true or false."
    )
    environment: Environment = Field(default=Environment(), description="Where steps run.")
    steps: Mapping[Name, Step] = Field(min_length=1, description="The commands, by name.")
    model: OutputReference | None = Field(
        default=None, description="The output that is the model; without one, nothing is released."
    )
    gates: Gates = Field(default=Gates(), description="The checks that a candidate has to pass.")
    policy: Policy = Field(default=Policy(), description="Who may change the rules.")
    release: Release | None = Field(
        default=None, description="The way to production; without one, runs only report."
    )
    notify: Many[Notification] = Field(default=(), description="Whom to notify, and when.")

    def params_of(self, step: str) -> dict[str, Scalar]:
        """The parameters of `step`: its own override the pipeline's."""
        return {**self.params, **self.commands[step].params}

    @property
    def commands(self) -> dict[str, Step]:
        """The steps and, as `data.NAME`, those that fetch datasets."""
        fetches = {
            f"{DATA}{name}": dataset.fetch.as_step(name)
            for name, dataset in self.datasets.items()
            if dataset.fetch is not None
        }
        return {**fetches, **self.steps}

    def executor_of(self, step: str | None) -> ExecutorKind:
        """Where `step` runs; for None, the model server and steps without settings of their own."""
        environment = self.environment
        contained = environment.image is not None or environment.build is not None
        shared = environment.executor or ("docker" if contained else "local")
        if step is None:
            return shared
        own = self.commands[step]
        if own.executor is None and (own.image is not None or own.build is not None):
            return "kubernetes" if shared == "kubernetes" else "docker"
        return own.executor or shared

    def image_of(self, step: str | None) -> str | None:
        """The container image of `step`, or of the model server for None; None if it is built."""
        own = self.commands[step] if step is not None else None
        if own is not None and own.build is not None:
            return None
        return (own.image if own is not None else None) or self.environment.image

    def build_of(self, step: str | None) -> str | None:
        """The folder from which the image of `step`, or of the model server for None, is built."""
        own = self.commands[step] if step is not None else None
        if own is not None and (own.build is not None or own.image is not None):
            return own.build
        return self.environment.build

    def resources_of(self, step: str) -> Resources:
        """The resources that `step` may use."""
        return self.commands[step].resources or self.environment.resources


Dataset.model_rebuild()  # it refers to `Fetch`, which is defined after it
