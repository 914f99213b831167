"""CustomResourceDefinitions: the kinds that they add while they are there."""

from tests.doubles.kubernetes.api.verbs import Verbs
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj, dig


class Definitions:
    """Serves what the stored CustomResourceDefinitions define."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._served: dict[str, tuple[Obj, list[Kind]]] = {}
        """The spec and the kinds of each definition by its name."""

    def refresh(self) -> None:
        """Serve the kinds of new definitions, and no longer those of deleted ones."""
        kind = self._verbs.kinds.of("CustomResourceDefinition")
        store = self._verbs.store
        with store.lock:
            found = {each["metadata"]["name"]: each for each in store.all(kind)}
            for name in set(self._served) - set(found):
                for gone in self._served.pop(name)[1]:
                    for obj in store.all(gone):
                        store.remove(gone, obj)
                    self._verbs.kinds.remove(gone)
            for name, definition in found.items():
                if name in self._served and self._served[name][0] == definition["spec"]:
                    continue
                self._served[name] = (definition["spec"], self._serve(definition["spec"]))
                self._establish(kind, definition)

    def _serve(self, spec: Obj) -> list[Kind]:
        kinds = []
        for version in spec["versions"]:
            if not version.get("served", True):
                continue
            kind = Kind(
                spec["group"],
                version["name"],
                spec["names"]["kind"],
                spec["names"]["plural"],
                namespaced=spec["scope"] == "Namespaced",
                status="status" in version.get("subresources", {}),
                custom=True,
                unconditional=False,
            )
            self._verbs.kinds.add(kind)
            self._verbs.schemas.define(kind, version["schema"]["openAPIV3Schema"])
            kinds.append(kind)
        return kinds

    def _establish(self, kind: Kind, definition: Obj) -> None:
        now = self._verbs.clock.stamp()
        conditions = [
            {"type": type_, "status": "True", "reason": reason, "message": message,
             "lastTransitionTime": now}
            for type_, reason, message in (
                ("NamesAccepted", "NoConflicts", "no conflicts found"),
                ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
            )
        ]  # fmt: skip
        spec = definition["spec"]
        stored = [each["name"] for each in spec["versions"] if each.get("storage")]
        status = {
            "conditions": conditions,
            "acceptedNames": dig(spec, "names", default={}),
            "storedVersions": stored,
        }
        self._verbs.store.put(kind, {**definition, "status": status})
