"""What a handler of the API gets and gives, and the table of handlers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

from tests.doubles.github.state import LEVELS, Hub, Issue, Repository, Token, User

T = TypeVar("T")
Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818  # it is an answer more than an error
    """An answer with an error's status, in GitHub's form."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body: Json = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if status == 422:
            self.body["errors"] = list(errors or [])
        self.body["status"] = str(status)


def invalid(resource: str, field_name: str, message: str, code: str = "custom") -> Refusal:
    """422 for one field."""
    error = {"resource": resource, "field": field_name, "code": code, "message": message}
    return Refusal(422, "Validation Failed", [error])


@dataclass
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request that is well formed: typed parameters, a body that fits, and who asks."""

    hub: Hub
    path: str
    params: dict[str, Any]
    query: dict[str, Any]
    given: dict[str, str]
    body: Json
    accept: str
    who: Token | None

    @property
    def user(self) -> User:
        assert self.who is not None
        return self.who.user

    @property
    def repo(self) -> Repository:
        """The repository that the path names; 404 if there is none, or it may not be seen."""
        repo = self.hub.repositories.get(f"{self.params['owner']}/{self.params['repo']}".lower())
        if repo is None or not self._sees(repo):
            raise Refusal(404, "Not Found")
        return repo

    def _sees(self, repo: Repository) -> bool:
        if self.who is None or not repo.private:
            return not repo.private
        if self.who.installation:
            return repo in (self.who.repositories or self.who.installation.repositories)
        return repo.permission(self.who.user.login) != "none"

    def pull(self) -> Issue:
        issue = self.repo.issues.get(self.params["pull_number"])
        if issue is None or issue.pull is None:
            raise Refusal(404, "Not Found")
        return issue

    def issue(self) -> Issue:
        if issue := self.repo.issues.get(self.params["issue_number"]):
            return issue
        raise Refusal(404, "Not Found")

    def emit(self, event: str, payload: Json) -> None:
        self.hub.emit(self.repo, event, self.user, payload)

    def page(self, items: Sequence[T], show: Callable[[T], Any], wrap: str | None = None) -> Reply:
        """The page that was asked for, of at most 100, with a Link header to the others."""
        size = min(max(self.query.get("per_page") or 30, 1), 100)
        number = max(self.query.get("page") or 1, 1)
        last = max(1, -(-len(items) // size))
        links = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        if number >= last:
            links = {key: links[key] for key in ("prev", "first")}
        if number <= 1:
            links = {key: value for key, value in links.items() if key in ("next", "last")}
        shown = [show(item) for item in items[(number - 1) * size : number * size]]
        header = ", ".join(
            f'<{self.hub.url}{self.path}?{urlencode(self.given | {"page": str(to)})}>; rel="{rel}"'
            for rel, to in links.items()
        )
        body = {"total_count": len(items), wrap: shown} if wrap else shown
        return Reply(200, body, {"Link": header} if header else {})


Handler = Callable[[Call], Reply]


@dataclass(frozen=True)
class Route:
    """A handler and who may call it: `needs` is "checks:write", `by` a kind of caller."""

    handler: Handler
    needs: str | None
    by: str | None


ROUTES: dict[str, Route] = {}


def route(
    operation: str, needs: str | None = None, by: str | None = None
) -> Callable[[Handler], Handler]:
    """Register the handler of an operation. `by` is "jwt" (the app itself) or "installation"."""

    def register(handler: Handler) -> Handler:
        ROUTES[operation] = Route(handler, needs, by)
        return handler

    return register


def authorise(call: Call, route: Route) -> None:
    """Refuse a caller without the permission that the route needs, as GitHub does."""
    if route.by == "jwt" or route.needs is None:
        return
    permission, level = route.needs.split(":")
    repo = call.repo
    if call.who is None:
        if level == "write":
            raise Refusal(401, "Requires authentication")
        return
    if installation := call.who.installation:
        granted = (call.who.permissions or installation.permissions).get(permission, "none")
        inside = repo in (call.who.repositories or installation.repositories)
        public = (
            permission in ("metadata", "contents", "pull_requests", "issues") and level == "read"
        )
        if not inside and public and not repo.private:
            return
        if not inside or LEVELS.index(granted) < LEVELS.index(level):
            raise Refusal(403, "Resource not accessible by integration")
        return
    if route.by == "installation":
        raise Refusal(403, "You must authenticate via a GitHub App.")
    # Anyone who can read may comment and open issues and pull requests.
    open_to_readers = permission in ("issues", "pull_requests") and call.path.endswith(
        ("/comments", "/issues", "/pulls", "/reactions")
    )
    least = "read" if level == "read" or open_to_readers else "write"
    if LEVELS.index(repo.permission(call.who.user.login)) < LEVELS.index(least):
        raise Refusal(403 if not repo.private else 404, "Must have push access to the repository.")


def encoded(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
