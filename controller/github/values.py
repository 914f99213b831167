"""The fields of GitHub's responses that Headgate reads, and no others.

Each field says where in the response it is found. Other fields may be added, dropped or null.
"""

from typing import Annotated, TypeVar

from pydantic import AliasPath, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from specs.failures import TryAgain

Said = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""Text for which GitHub may send null."""


def _number(url: object) -> int:
    """The number at the end of a URL; 0 if there is none."""
    last = str(url).rpartition("/")[2]
    return int(last) if last.isascii() and last.isdigit() else 0


class Payload(BaseModel):
    """Base: frozen, and ignores unknown fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True)


class PullRequest(Payload):
    """A pull request."""

    number: int
    title: Said = ""
    body: Said = ""
    state: str = "open"
    draft: bool = False
    author: Said = Field(default="", validation_alias=AliasPath("user", "login"))
    """Empty if the account is gone."""
    head_sha: str = Field(validation_alias=AliasPath("head", "sha"))
    head_ref: str = Field(validation_alias=AliasPath("head", "ref"))
    head_repository: Said = Field(
        default="", validation_alias=AliasPath("head", "repo", "full_name")
    )
    """`owner/name`; empty if the fork is gone."""
    base_ref: str = Field(validation_alias=AliasPath("base", "ref"))
    base_repository: str = Field(
        default="", validation_alias=AliasPath("base", "repo", "full_name")
    )
    merged_at: str | None = None
    merge_sha: str | None = Field(default=None, validation_alias="merge_commit_sha")
    """The merge commit; for an open pull request, GitHub's test merge."""
    merged_by: Said = Field(default="", validation_alias=AliasPath("merged_by", "login"))
    """Only present if the pull request was requested by number."""
    updated: Said = Field(default="", validation_alias="updated_at")
    url: Said = Field(default="", validation_alias="html_url")

    @property
    def fork(self) -> bool:
        """Whether its head is in another repository, or in a deleted one: either way untrusted."""
        return not self.head_repository or self.head_repository != self.base_repository

    @property
    def merged(self) -> bool:
        """Whether it is merged, as `merge_sha`."""
        return self.merged_at is not None


class CheckRun(Payload):
    """A check run."""

    id: int
    name: str = ""
    head_sha: str = ""
    status: str = ""
    conclusion: str | None = None
    external_id: Said = ""
    started: Said = Field(default="", validation_alias="started_at")
    """In ISO 8601."""
    app: int | None = Field(default=None, validation_alias=AliasPath("app", "id"))
    client: Said = Field(default="", validation_alias=AliasPath("app", "client_id"))
    """An app may be identified by this instead of its number."""
    url: Said = Field(default="", validation_alias="html_url")
    annotations: int = Field(default=0, validation_alias=AliasPath("output", "annotations_count"))
    """How many it has."""


class Comment(Payload):
    """A comment on a pull request or issue."""

    id: int
    body: Said = ""
    author: Said = Field(default="", validation_alias=AliasPath("user", "login"))
    kind: Said = Field(default="", validation_alias=AliasPath("user", "type"))
    """`User` or `Bot`; an app's own comments are a bot's."""
    created: Said = Field(default="", validation_alias="created_at")
    about: Annotated[int, BeforeValidator(_number)] = Field(default=0, validation_alias="issue_url")
    """The number of the pull request or issue."""
    app: int | None = Field(
        default=None, validation_alias=AliasPath("performed_via_github_app", "id")
    )
    """The app that wrote it."""
    client: Said = Field(
        default="", validation_alias=AliasPath("performed_via_github_app", "client_id")
    )
    updated: Said = Field(default="", validation_alias="updated_at")
    url: Said = Field(default="", validation_alias="html_url")

    @property
    def edited(self) -> bool:
        """Whether somebody has edited it; GitHub does not say who."""
        return self.updated != self.created


class Person(Payload):
    """The owner of a token."""

    login: str


class AppItself(Payload):
    """The GitHub App, and the permissions it asks for on installation."""

    slug: Said = ""
    name: Said = ""
    owner: Said = Field(default="", validation_alias=AliasPath("owner", "login"))
    owner_kind: Said = Field(default="", validation_alias=AliasPath("owner", "type"))
    """`User` or `Organization`."""
    url: Said = Field(default="", validation_alias="html_url")
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()


class Installation(Payload):
    """An installation of the app on one account, and the permissions granted there."""

    id: int
    url: Said = Field(default="", validation_alias="html_url")
    permissions: dict[str, str] = {}
    suspended: Said = Field(default="", validation_alias="suspended_at")
    """When it was suspended; empty if it is not."""


class HookConfig(Payload):
    """Where an app's webhooks go."""

    url: Said = ""
    secret: Said = ""
    """Asterisks; empty if there is none."""
    content_type: Said = ""


class Access(Payload):
    """What a person may do with a repository."""

    private: bool = True
    push: bool = Field(default=False, validation_alias=AliasPath("permissions", "push"))


class RequiredCheck(Payload):
    """A check or status that has to pass before a merge."""

    context: str
    """Its name."""


class Protection(Payload):
    """How a branch is protected, in the part that anybody may see."""

    checks: tuple[RequiredCheck, ...] = Field(
        default=(), validation_alias=AliasPath("required_status_checks", "checks")
    )
    contexts: tuple[str, ...] = Field(
        default=(), validation_alias=AliasPath("required_status_checks", "contexts")
    )
    """The same as names, by which older servers say them."""


class RemoteBranch(Payload):
    """A branch."""

    protection: Protection

    @property
    def required(self) -> frozenset[str]:
        """The names of the checks that its protection requires."""
        named = (one.context for one in self.protection.checks)
        return frozenset((*named, *self.protection.contexts))


class BranchRule(Payload):
    """A rule of a ruleset that holds for a branch. Most types of rules require no checks."""

    checks: tuple[RequiredCheck, ...] = Field(
        default=(), validation_alias=AliasPath("parameters", "required_status_checks")
    )

    @property
    def required(self) -> frozenset[str]:
        """The names of the checks that it requires."""
        return frozenset(one.context for one in self.checks)


class Deployment(Payload):
    """One deployment of a commit to an environment."""

    id: int
    sha: str = ""
    environment: str = ""
    task: str = ""
    mark: str = Field(default="", validation_alias=AliasPath("payload", "headgate"))
    """The mark that `create_deployment` was given."""


class Closed(Payload):
    """Who closed an issue or a pull request."""

    by: Said = Field(default="", validation_alias=AliasPath("closed_by", "login"))


class Issue(Payload):
    """An issue."""

    number: int
    title: Said = ""
    body: Said = ""
    state: str = ""
    url: Said = Field(default="", validation_alias="html_url")


Value = TypeVar("Value", bound=Payload)


def read(kind: type[Value], data: object) -> Value:
    """The value in GitHub's response. Raises TryAgain if a required field is missing."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise TryAgain(
            f"GitHub's response is not a {kind.__name__.lower()} that Headgate can read: "
            f"{where}: {error.errors()[0]['msg']}"
        ) from None
