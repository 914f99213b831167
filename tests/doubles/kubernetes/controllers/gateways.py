"""Gateway API: whether Gateways are programmed and what routes resolve to. Traffic flows only
if a test has a data plane for it (`program`)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.doubles.kubernetes.api.actor import Actor
from tests.doubles.kubernetes.base.objects import Obj, copied, dig, set_condition
from tests.doubles.kubernetes.controllers.manager import Key
from tests.doubles.kubernetes.storage.store import ObjectChange

CONTROLLER = "double.headgate.dev/gateway"


class GatewayController:
    """Sets the status of Gateways and HTTPRoutes, as an implementation does."""

    def __init__(self, verbs: Any) -> None:
        self._actor = Actor(verbs, "gateway-controller")
        self.program: Callable[[Sequence[Obj]], None] = lambda _routes: None
        """Configures a data plane, before routes are said to be accepted."""
        self.rejected: dict[Key, tuple[str, str]] = {}
        """Reason and message for routes that the implementation does not accept."""

    def keys(self, change: ObjectChange) -> Iterable[Key]:
        if change.kind.name == "Gateway":
            yield ("Gateway", "/".join(change.address))
        elif change.kind.name == "HTTPRoute":
            yield ("HTTPRoute", "/".join(change.address))
        if change.kind.name in ("Gateway", "Service", "ReferenceGrant") and self._served():
            for route in self._actor.all("HTTPRoute"):
                meta = route["metadata"]
                yield ("HTTPRoute", f"{meta['namespace']}/{meta['name']}")

    def _served(self) -> bool:
        return any(kind.name == "HTTPRoute" for kind in self._actor.kinds.all())

    def sync(self, key: Key) -> float | None:
        namespace, _, name = key[1].partition("/")
        found = self._actor.get(key[0], namespace, name) if self._served() else None
        if key[0] == "HTTPRoute":
            routes = self._actor.all("HTTPRoute")
            names = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in routes]
            if not self.rejected.keys() & {*names}:
                self.program(routes)
        if found is None:
            return None
        status = self._gateway(found) if key[0] == "Gateway" else self._route(found)
        self._actor.change(found, lambda obj: obj.update(status=status))
        return None

    def _condition(
        self,
        obj: Obj,
        into: list[Obj],
        type_: str,
        reason: str,
        message: str = "",
        true: bool = True,
    ) -> None:
        new = {
            "type": type_,
            "status": "True" if true else "False",
            "reason": reason,
            "message": message,
            "observedGeneration": obj["metadata"]["generation"],
        }
        set_condition(into, self._actor.clock.stamp(), new)

    def _gateway(self, gateway: Obj) -> Obj:
        status: Obj = copied(gateway.get("status", {}))
        conditions = status.setdefault("conditions", [])
        self._condition(gateway, conditions, "Accepted", "Accepted")
        self._condition(gateway, conditions, "Programmed", "Programmed")
        status["addresses"] = [{"type": "IPAddress", "value": "127.0.0.1"}]
        listeners = []
        for each in gateway["spec"].get("listeners", ()):
            said: list[Obj] = []
            old: Obj = next(
                (o for o in status.get("listeners", ()) if o["name"] == each["name"]), {}
            )
            said.extend(copied(old.get("conditions", [])))
            for type_ in ("Accepted", "Programmed", "ResolvedRefs"):
                self._condition(gateway, said, type_, type_)
            kinds = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]
            listeners.append(
                {
                    "name": each["name"],
                    "supportedKinds": kinds,
                    "attachedRoutes": 0,
                    "conditions": said,
                }
            )
        status["listeners"] = listeners
        return status

    def _route(self, route: Obj) -> Obj:
        namespace = route["metadata"]["namespace"]
        old = dig(route, "status", "parents", default=[])
        parents = []
        for ref in route["spec"].get("parentRefs", ()):
            gateway = self._actor.get("Gateway", ref.get("namespace", namespace), ref["name"])
            if gateway is None:
                continue  # nobody answers for it
            before: Obj = next((each for each in old if each["parentRef"] == ref), {})
            conditions = copied(before.get("conditions", []))
            refusal = self.rejected.get((namespace, route["metadata"]["name"]))
            if refusal:
                self._condition(route, conditions, "Accepted", *refusal, true=False)
            else:
                self._condition(route, conditions, "Accepted", "Accepted", "Route is accepted")
            problem = self._unresolved(route)
            if problem:
                self._condition(route, conditions, "ResolvedRefs", *problem, true=False)
            else:
                self._condition(
                    route, conditions, "ResolvedRefs", "ResolvedRefs", "All references are resolved"
                )
            parents.append(
                {"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions}
            )
        return {"parents": parents}

    def _unresolved(self, route: Obj) -> tuple[str, str] | None:
        home = route["metadata"]["namespace"]
        for rule in route["spec"].get("rules", ()):
            mirrors = [
                dig(each, "requestMirror", "backendRef")
                for each in rule.get("filters", ())
                if each["type"] == "RequestMirror"
            ]
            for ref in (*rule.get("backendRefs", ()), *filter(None, mirrors)):
                kind, space = ref.get("kind", "Service"), ref.get("namespace", home)
                if kind != "Service":
                    return "InvalidKind", f"kind {kind} is not supported"
                if space != home and not self._is_granted(home, space):
                    return "RefNotPermitted", f"backend {space}/{ref['name']} is not permitted"
                if self._actor.get("Service", space, ref["name"]) is None:
                    return "BackendNotFound", f"service {space}/{ref['name']} not found"
        return None

    def _is_granted(self, home: str, space: str) -> bool:
        return any(
            source["namespace"] == home and source["kind"] == "HTTPRoute"
            for grant in self._actor.all("ReferenceGrant", space)
            for source in grant["spec"]["from"]
        )
