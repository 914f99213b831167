"""Who may do what: rules that a test gives, and Roles and their bindings."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.doubles.kubernetes.api.calls import ApiCall, ApiUser
from tests.doubles.kubernetes.base.kinds import Kinds
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.storage.store import EtcdStore

MASTERS = "system:masters"


@dataclass(frozen=True)
class AccessRule:
    """What is allowed; `*` stands for all. Resources may name a subresource, `pods/log`."""

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    groups: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    names: tuple[str, ...] = ("*",)

    def allows(self, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        part = resource.partition("/")[2]
        return (
            _among(verb, self.verbs)
            and _among(group, self.groups)
            and (_among(resource, self.resources) or bool(part and f"*/{part}" in self.resources))
            and _among(namespace, self.namespaces)
            and _among(name, self.names)
        )


def _among(value: str, allowed: tuple[str, ...]) -> bool:
    return "*" in allowed or value in allowed


class ApiAccess:
    """Tokens, their users, and what these may do."""

    def __init__(self, store: EtcdStore, kinds: Kinds) -> None:
        self._store = store
        self._kinds = kinds
        self.tokens: dict[str, ApiUser] = {}
        self.scripted: dict[str, list[AccessRule]] = {}
        """Rules by the user's name."""

    def user(self, authorization: str) -> ApiUser:
        """Who sent the header; 401 for an unknown token. Without one it is `system:anonymous`."""
        if not authorization:
            return ApiUser("system:anonymous", ("system:unauthenticated",))
        scheme, _, token = authorization.partition(" ")
        found = self.tokens.get(token) if scheme.lower() == "bearer" else None
        if found is None:
            raise StatusError(401, "Unauthorized", "Unauthorized")
        return found

    def check(self, call: ApiCall) -> None:
        """Refuse a call that its user may not make, with the server's words."""
        kind = call.kind
        if self.allowed(call.user, call.verb, kind.group, call.what, call.namespace, call.name):
            return
        where = (
            f' in the namespace "{call.namespace}"' if call.namespace else " at the cluster scope"
        )
        what = f'{kind.resource} "{call.name}"' if call.name else kind.resource
        message = (
            f'{what} is forbidden: User "{call.user.name}" cannot {call.verb} resource '
            f'"{call.what}" in API group "{kind.group}"{where}'
        )
        details = {"name": call.name, "group": kind.group, "kind": kind.plural}
        raise StatusError(403, "Forbidden", message, {k: v for k, v in details.items() if v})

    def allowed(
        self, user: ApiUser, verb: str, group: str, resource: str, namespace: str, name: str = ""
    ) -> bool:
        if MASTERS in user.groups:
            return True
        return any(
            rule.allows(verb, group, resource, namespace, name) for rule in self._rules(user)
        )

    def _rules(self, user: ApiUser) -> Iterator[AccessRule]:
        yield from self.scripted.get(user.name, ())
        for binding in self._store.all(self._kinds.of("ClusterRoleBinding")):
            if any(_is(subject, user) for subject in binding.get("subjects", ())):
                yield from self._role(binding, "", "*")
        for binding in self._store.all(self._kinds.of("RoleBinding")):
            if any(_is(subject, user) for subject in binding.get("subjects", ())):
                namespace = binding["metadata"]["namespace"]
                yield from self._role(binding, namespace, namespace)

    def _role(self, binding: Obj, home: str, namespace: str) -> Iterator[AccessRule]:
        ref = binding["roleRef"]
        kind = self._kinds.of(ref["kind"])
        role = self._store.get(kind, home if kind.namespaced else "", ref["name"])
        for rule in (role or {}).get("rules", ()):
            if "resources" in rule:
                yield AccessRule(
                    tuple(rule["verbs"]),
                    tuple(rule["resources"]),
                    tuple(rule.get("apiGroups", ())),
                    (namespace,),
                    tuple(rule.get("resourceNames") or ("*",)),
                )

    def review(self, user: ApiUser, spec: Obj) -> Obj:
        """The status of a SelfSubjectAccessReview or SubjectAccessReview."""
        asked = spec.get("resourceAttributes")
        if asked is None:
            return {"allowed": True}
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource += f"/{asked['subresource']}"
        allowed = self.allowed(
            user,
            asked.get("verb", ""),
            asked.get("group", ""),
            resource,
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
        return {"allowed": True, "reason": "RBAC: allowed"} if allowed else {"allowed": False}


def _is(subject: Obj, user: ApiUser) -> bool:
    match subject.get("kind"):
        case "User":
            return bool(subject["name"] == user.name)
        case "Group":
            return subject["name"] in user.groups
        case _:
            name = f"system:serviceaccount:{subject.get('namespace')}:{subject.get('name')}"
            return name == user.name
