"""The pipeline: everything that ml-pipeline.yaml can say, as frozen values."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from specs.base import (
    MOST_GLOBS,
    Address,
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
from specs.datasets import Query
from specs.gates import Gates
from specs.names import slug
from specs.references import OutputReference, Reference
from specs.release import Release
from specs.schedule import ScheduleTrigger
from specs.values import Cpu, Duration, Size

SPEC_FILE = "ml-pipeline.yaml"
SPEC_FILES: Final = (SPEC_FILE, "ml-pipeline.*.yaml")
"""Globs of the names of specs: of one, and of several in a folder."""
_SPEC_FILE: Final = re.compile(r"ml-pipeline(\.(?P<name>[a-z0-9][a-z0-9-]*))?\.yaml")
_MISNAMED: Final = re.compile(r"ml[-_. ]?pipelines?([._](?P<name>[\w.-]+?))?\.ya?ml", re.IGNORECASE)
API_VERSION = "headgate.dev/v1"
DATA = "data."
"""What the names of nodes begin with that bring a dataset."""

ExecutorKind = Literal["local", "docker", "kubernetes"]
Access = Literal["path", "uri"]
ColumnType = Literal["string", "int64", "double", "decimal", "bool", "date", "timestamp"]
NotifyEvent = Literal[
    "rollback",
    "gate_failed",
    "stuck",
    "promoted",
    "run_failed",
    "approval_needed",
    "refused",
]


def place_of(command: str) -> tuple[str, ...]:
    """Where a spec says what a command of `Pipeline.commands` is."""
    fetched = command.startswith(DATA)
    return ("datasets", command.removeprefix(DATA), "fetch") if fetched else ("steps", command)


def is_spec_file(name: str) -> bool:
    """Whether a file of that name is a spec: `ml-pipeline.yaml`, or `ml-pipeline.NAME.yaml` where
    a folder has several."""
    return _SPEC_FILE.fullmatch(name) is not None


def misnamed(name: str) -> str | None:
    """What a file should be called that is a spec by all but the letter of its name; None for a
    spec, and for any other file."""
    found = _MISNAMED.fullmatch(name)
    if found is None or is_spec_file(name):
        return None
    own = slug(found["name"]) if found["name"] else ""
    return f"ml-pipeline.{own}.yaml" if own else SPEC_FILE


def named_by(folder: str, file: str) -> str:
    """What a pipeline is called after the place of its spec: `NAME` of `ml-pipeline.NAME.yaml`
    below the name of its folder, which is empty for the top of a repository."""
    found = _SPEC_FILE.fullmatch(file)
    own = found["name"] if found else None
    return "-".join(part for part in (folder, own) if part)


def spec_order(path: str) -> tuple[str, bool, str]:
    """Sorts the paths of specs: by folder, and the plain name before others."""
    folder, _, file = path.rpartition("/")
    return folder, file != SPEC_FILE, file


class Metadata(Spec):
    """Who the pipeline is and whom it belongs to."""

    name: PipelineName = Field(description="Lower-case letters, digits and dashes.")
    owners: Many[Text] = Field(default=(), description="People or teams, such as @flights-ml.")


class CommitTrigger(Spec):
    """Which commits start a run."""

    enabled: bool = Field(default=True, description="Whether commits start runs at all.")
    paths: Many[RepositoryPath] = Field(
        default=("**", "!**/*.md", "!docs/**"),
        max_length=MOST_GLOBS,
        description="Globs below the spec's folder, or from the repository's root as `//src/**`; "
        "the last that matches decides, `!` excludes.",
    )
    branches: Many[Text] = Field(
        default=(),
        description="Globs of watched branches, as the default branch says it; else it alone.",
    )
    supersede: Literal["cancel", "queue"] = Field(
        default="cancel",
        description="What a newer commit of a branch means for an older one that runs or waits: "
        "`cancel` ends it if the newer one runs anything else, `queue` runs each in its turn. Of a "
        "pull request only the head counts.",
    )


class PullRequestTrigger(Spec):
    """Which pull requests are run, and with what."""

    enabled: bool = Field(default=True, description="Whether they are run and reported on.")
    secrets: Many[Variable] = Field(
        default=(),
        description="Secrets that steps get in runs of pull requests, too; never those of forks. "
        "Both their base and the default branch have to name them.",
    )


class DataTrigger(Spec):
    """Which datasets start a run when they change, and when a change is complete."""

    datasets: Many[Name] = Field(min_length=1, description="Names under `datasets`.")
    quiet: Duration = Field(
        default=timedelta(seconds=30),
        description="How long nothing may have changed before the data counts as complete; a "
        "commit of a table is complete at once, unless this is said.",
    )
    marker: Text | None = Field(
        default=None,
        description="The file that says the data is complete, such as _SUCCESS; replaces `quiet`.",
    )


class Triggers(Spec):
    """What starts a run. Commits and pull requests do unless switched off."""

    commits: CommitTrigger = Field(default=CommitTrigger(), description="New commits.")
    pull_requests: PullRequestTrigger = Field(
        default=PullRequestTrigger(), description="Pull requests."
    )
    data: DataTrigger | None = Field(default=None, description="New data.")
    schedule: ScheduleTrigger | None = Field(default=None, description="The clock.")


class Dataset(Spec):
    """Objects that belong together, and what has to hold for them."""

    uri: Location | None = Field(
        default=None,
        description="s3://, gs://, az:// or file://, or a path in the repository; may hold globs.",
    )
    query: Query | None = Field(
        default=None, description="Instead of `uri`: the rows of a statement to a database."
    )
    fetch: "Fetch | None" = Field(
        default=None, description="Instead of `uri`: a command that brings the data."
    )
    expectations: RepositoryPath | None = Field(
        default=None, description="The file of a Great Expectations suite, JSON or YAML."
    )
    types: Mapping[Text, ColumnType] = Field(
        default={},
        description="The types of columns, by name, for the suite; without it, as they look.",
    )
    nulls: Many[str] = Field(
        default=("",),
        description="The texts of CSV and TSV that are null; by default the empty one.",
    )

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(each is not None for each in (self.uri, self.query, self.fetch)) != 1:
            raise ValueError("expected exactly one of `uri`, `query` and `fetch`")
        return self

    @property
    def is_versioned(self) -> bool:
        """Whether its version is known before anything has run."""
        return self.uri is not None or (self.query is not None and self.query.version is not None)

    @property
    def address(self) -> str:
        """Where it comes from, in a line for people."""
        if self.query is not None:
            return f"a query of {self.query.url}"
        return self.uri or (f"`{self.fetch.run}`" if self.fetch else "")


class Resources(Spec):
    """What a step may use."""

    cpu: Cpu | None = Field(default=None, description="Processors, such as 2 or 500m.")
    memory: Size | None = Field(
        default=None,
        description="Memory that all its processes together may hold, such as 512Mi or 4Gi; above "
        "it the step is killed.",
    )


class Environment(Spec):
    """Where steps and the model server run, unless a step says otherwise."""

    requirements: RepositoryPath | None = Field(
        default=None, description="A pip requirements file; built once per content."
    )
    project: RepositoryFolder | None = Field(
        default=None,
        description="Instead of `requirements`: the folder of a pyproject.toml with its uv.lock, "
        "poetry.lock or pylock.toml, or of an environment.yml; `//` begins at the repository's "
        "root.",
    )
    groups: Many[Text] = Field(
        default=(), description="Dependency groups of `project` that are installed, too."
    )
    extras: Many[Text] = Field(
        default=(), description="Extras of `project` that are installed, too."
    )
    python: Text | None = Field(
        default=None,
        pattern=r"^3\.\d+(\.\d+)?$",
        description="The Python version, such as 3.11; without it, the controller's own.",
    )
    executor: ExecutorKind | None = Field(
        default=None, description="Without it, docker for what has an image, else local."
    )
    image: Text | None = Field(
        default=None, description="The container image, best as name@sha256:DIGEST."
    )
    build: RepositoryFolder | None = Field(
        default=None, description="Instead of `image`: a folder with the Dockerfile of one."
    )
    resources: Resources = Field(default=Resources(), description="Limits of every step.")


class Step(Spec):
    """One command of the pipeline."""

    run: Text = Field(
        description=(
            "The command, with {inputs.NAME}, {outputs.NAME}, {params.NAME} and {root}, the "
            "repository's root. "
            "It is split like a shell line, but no shell runs it."
        )
    )
    inputs: Mapping[Name, Reference] = Field(
        default={}, description="Datasets and outputs of other steps, by the step's own name."
    )
    outputs: Mapping[Name, RelativePath] = Field(default={}, description="File names, by name.")
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads, `//src/**` from the repository's root; without "
        "it, all that `triggers.commits` admits.",
    )
    params: Mapping[Name, Scalar] = Field(
        default={}, description="Parameters of this step, over those of the pipeline."
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="The longest it may run.")
    retries: int = Field(default=0, ge=0, le=10, description="Further tries after a failure.")
    backoff: Duration = Field(
        default=timedelta(seconds=10), description="The wait before a retry; doubles each time."
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables; with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the step as environment variables."
    )
    access: Mapping[Name, Access] = Field(
        default={}, description="Per input: a local path (the default) or the URI and versions."
    )
    executor: ExecutorKind | None = Field(default=None, description="Over the environment's.")
    image: Text | None = Field(default=None, description="Over the environment's.")
    build: RepositoryFolder | None = Field(default=None, description="Over the environment's.")
    network: bool = Field(default=False, description="Whether its container may use the network.")
    resources: Resources | None = Field(default=None, description="Over the environment's.")
    cache: Cache = Field(
        default="always",
        description="Whether an equal step's result is reused: always, never (it runs in every "
        "run), or {for: 24h}, while it is no older. What reads its outputs goes by their content.",
    )


class Fetch(Spec):
    """A command that brings a dataset from elsewhere. The content's digest is its version."""

    run: Text = Field(
        description="The command, with {output}, {params.NAME} and {root}; no shell runs it. "
        "{output} is an empty folder, or with `file` the path of that file."
    )
    file: RelativePath | None = Field(
        default=None, description="The one file that it writes, such as orders.csv."
    )
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files it reads, `//src/**` from the repository's root; without "
        "it, all that `triggers.commits` admits.",
    )
    env: Mapping[Variable, str] = Field(
        default={}, description="Environment variables; with the placeholders of `run`."
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the command as environment variables."
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="The longest it may run.")
    retries: int = Field(default=0, ge=0, le=10, description="Further tries after a failure.")
    backoff: Duration = Field(
        default=timedelta(seconds=10), description="The wait before a retry; doubles each time."
    )
    executor: ExecutorKind | None = Field(default=None, description="Over the environment's.")
    image: Text | None = Field(default=None, description="Over the environment's.")
    build: RepositoryFolder | None = Field(default=None, description="Over the environment's.")
    network: bool = Field(default=True, description="Whether its container may use the network.")
    resources: Resources | None = Field(default=None, description="Over the environment's.")
    cache: Cache = Field(
        default="never",
        description="Whether what was fetched is reused: never (it is fetched in every run), "
        "{for: 24h} while it is no older, or always.",
    )

    def as_step(self, name: str) -> Step:
        """The step that brings the dataset of that name."""
        own = {field: getattr(self, field) for field in type(self).model_fields if field != "file"}
        return Step(**own, outputs={"data": self.file or name})


class Notification(Spec):
    """Whom to tell, and when."""

    to: Address = Field(
        description="An Apprise URL, in which ${NAME} stands for a secret; or github-issue: an "
        "issue in the pipeline's repository, closed when what it tells of is over."
    )
    on: Many[NotifyEvent] = Field(
        default=("rollback", "gate_failed", "stuck", "run_failed", "approval_needed", "refused"),
        min_length=1,
        description="The events to tell about.",
    )


class Policy(Spec):
    """Who decides about the rules themselves."""

    approvers: Many[Approver] = Field(
        default=(),
        description="Who may accept a pull request that loosens a rule: @person or @team/name; "
        "without any, who may administer the repository. The base branch says so.",
    )


class Pipeline(Spec):
    """One ml-pipeline.yaml."""

    api_version: Literal["headgate.dev/v1"] = Field(
        alias="apiVersion", description="The version of this format."
    )
    kind: Literal["MLPipeline"] = Field(description="Always MLPipeline.")
    metadata: Metadata = Field(description="Name and owners.")
    triggers: Triggers = Field(default=Triggers(), description="What starts a run.")
    datasets: Mapping[Name, Dataset] = Field(default={}, description="The data, by name.")
    params: Mapping[Name, Scalar] = Field(
        default={}, description="Parameters of all steps: text, numbers, true or false."
    )
    environment: Environment = Field(default=Environment(), description="Where steps run.")
    steps: Mapping[Name, Step] = Field(min_length=1, description="The commands, by name.")
    model: OutputReference | None = Field(
        default=None, description="The output that is the model; without it nothing is released."
    )
    gates: Gates = Field(default=Gates(), description="What a candidate has to show.")
    policy: Policy = Field(default=Policy(), description="Who may change the rules.")
    release: Release | None = Field(
        default=None, description="The way to production; without it runs only report."
    )
    notify: Many[Notification] = Field(default=(), description="Whom to tell, and when.")

    def params_of(self, step: str) -> dict[str, Scalar]:
        """The parameters that `step` sees: the pipeline's, and over them its own."""
        return {**self.params, **self.commands[step].params}

    @property
    def commands(self) -> dict[str, Step]:
        """The steps, and as `data.NAME` those that fetch datasets."""
        fetches = {
            f"{DATA}{name}": dataset.fetch.as_step(name)
            for name, dataset in self.datasets.items()
            if dataset.fetch is not None
        }
        return {**fetches, **self.steps}

    def executor_of(self, step: str | None) -> ExecutorKind:
        """Where `step` runs; None: the model server, and what says nothing of its own."""
        environment = self.environment
        contained = environment.image is not None or environment.build is not None
        shared = environment.executor or ("docker" if contained else "local")
        if step is None:
            return shared
        own = self.commands[step]
        if own.executor is None and (own.image is not None or own.build is not None):
            return "docker"
        return own.executor or shared

    def image_of(self, step: str | None) -> str | None:
        """The container image of `step`, or of the model server; None where one is built."""
        own = self.commands[step] if step is not None else None
        if own is not None and own.build is not None:
            return None
        return (own.image if own is not None else None) or self.environment.image

    def build_of(self, step: str | None) -> str | None:
        """The folder that the image of `step`, or of the model server, is built from."""
        own = self.commands[step] if step is not None else None
        if own is not None and (own.build is not None or own.image is not None):
            return own.build
        return self.environment.build

    def resources_of(self, step: str) -> Resources:
        """What `step` may use."""
        return self.commands[step].resources or self.environment.resources


Dataset.model_rebuild()  # it was written down before `Fetch`
