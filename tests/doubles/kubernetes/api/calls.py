"""Requests as the server understands them, and its replies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.doubles.kubernetes.base.kinds import Kind, Kinds
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import not_allowed


@dataclass(frozen=True)
class ApiUser:
    """Who calls. A member of `system:masters` may do everything."""

    name: str
    groups: tuple[str, ...] = ()


SYSTEM = ApiUser("system:apiserver", ("system:masters",))


@dataclass
class ApiCall:
    """A request for objects of a kind."""

    verb: str
    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    agent: str = ""
    user: ApiUser = SYSTEM
    warnings: list[str] = field(default_factory=list)
    """What the reply warns of."""

    @property
    def manager(self) -> str:
        """The name under which fields are managed."""
        return self.query.get("fieldManager") or self.agent.partition("/")[0] or "unknown"

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All" or (
            self.verb in ("delete", "deletecollection")
            and isinstance(self.body, dict)
            and self.body.get("dryRun") == ["All"]
        )

    def flag(self, name: str) -> bool:
        return self.query.get(name, "") in ("true", "1")

    @property
    def what(self) -> str:
        """The resource with its subresource, as rules name it."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural


@dataclass
class ApiReply:
    """What the server answers; a stream is sent in parts as they come."""

    status: int
    body: Obj | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    content_type: str = "application/json"


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


def parsed(method: str, target: str, kinds: Kinds) -> ApiCall | None:
    """The call that a path of the API names; None for any other path."""
    address = urlsplit(target)
    steps = [unquote(step) for step in address.path.strip("/").split("/")]
    if steps[:1] == ["api"] and len(steps) > 2:
        group, version, rest = "", steps[1], steps[2:]
    elif steps[:1] == ["apis"] and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = kinds.at(group, version, rest[0])
    if kind is None or (namespace and not kind.namespaced) or len(rest) > 3:
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    raw = parse_qs(address.query, keep_blank_values=True)
    query = {key: values[-1] for key, values in raw.items()}
    verb = _verb(method, name, query)
    return ApiCall(verb, kind, namespace, name, subresource, query)


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method == "GET":
        if query.get("watch") in ("true", "1") and not name:
            return "watch"
        return "get" if name else "list"
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if method not in _VERBS or (method == "POST") == bool(name):
        if method == "POST" and name:
            return "create"  # of a subresource, as `eviction` or `token`
        raise not_allowed()
    return _VERBS[method]
