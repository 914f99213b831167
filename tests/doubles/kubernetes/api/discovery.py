"""What the server says of itself: its version and the kinds that it serves."""

from tests.doubles.kubernetes.base.kinds import Kind, Kinds
from tests.doubles.kubernetes.base.objects import Obj

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def document(path: str, kinds: Kinds) -> Obj | None:
    """The document at a path; None if there is none."""
    steps = path.strip("/").split("/")
    if steps == ["version"]:
        return {
            "major": "1",
            "minor": "37",
            "gitVersion": "v1.37.0",
            "platform": "linux/amd64",
        }
    if steps == ["api"]:
        return {"kind": "APIVersions", "versions": ["v1"]}
    if steps == ["apis"]:
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(kinds)}
    if steps[0] == "apis" and len(steps) == 2:
        return next((each for each in _groups(kinds) if each["name"] == steps[1]), None)
    if steps[0] == "api" and len(steps) == 2:
        return _resources(kinds, "", steps[1])
    if steps[0] == "apis" and len(steps) == 3:
        return _resources(kinds, steps[1], steps[2])
    return None


def has_group(path: str, kinds: Kinds) -> bool:
    """Whether the path lies in a group and version that is served."""
    steps = path.strip("/").split("/")
    if steps[0] == "api":
        return steps[1:2] == ["v1"]
    named = tuple(steps[1:3])
    return steps[0] == "apis" and named in {(kind.group, kind.version) for kind in kinds.all()}


def _groups(kinds: Kinds) -> list[Obj]:
    found: dict[str, dict[str, None]] = {}
    for kind in kinds.all():
        if kind.group:
            found.setdefault(kind.group, {})[kind.version] = None
    groups = []
    for group, versions in found.items():
        said = [{"groupVersion": f"{group}/{one}", "version": one} for one in versions]
        groups.append({"name": group, "versions": said, "preferredVersion": said[0]})
    return groups


def _resources(kinds: Kinds, group: str, version: str) -> Obj | None:
    found = [kind for kind in kinds.all() if (kind.group, kind.version) == (group, version)]
    if not found:
        return None
    resources = []
    for kind in found:
        resources.append(_resource(kind, kind.plural, _VERBS))
        if kind.status:
            resources.append(_resource(kind, f"{kind.plural}/status", ["get", "patch", "update"]))
    api_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources}


def _resource(kind: Kind, name: str, verbs: list[str]) -> Obj:
    singular = "" if "/" in name else kind.name.lower()
    return {
        "name": name,
        "singularName": singular,
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": verbs,
    }
