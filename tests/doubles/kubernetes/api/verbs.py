"""Reading and writing objects, by the rules that hold for all kinds."""

import base64
import random
import uuid
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json

from tests.doubles.kubernetes.api.admission import Admission
from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.apply import managed, patches
from tests.doubles.kubernetes.base.clock import ClusterClock
from tests.doubles.kubernetes.base.kinds import Kind, Kinds
from tests.doubles.kubernetes.base.objects import Obj, copied, dig
from tests.doubles.kubernetes.base.refusals import (
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    not_allowed,
    not_found,
    options_error,
    required,
)
from tests.doubles.kubernetes.storage.selectors import Match, field_match, label_match
from tests.doubles.kubernetes.storage.store import EtcdStore
from tests.doubles.kubernetes.validation import defaults, rules
from tests.doubles.kubernetes.validation.decoding import decode
from tests.doubles.kubernetes.validation.schemas import Schemas

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_KEPT = ("uid", "creationTimestamp", "namespace", "selfLink", "generation", "deletionTimestamp",
         "deletionGracePeriodSeconds")  # fmt: skip
JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


class Verbs:
    """What the API server does with objects."""

    def __init__(self, clock: ClusterClock, seed: int = 0) -> None:
        self.clock = clock
        self.kinds = Kinds()
        self.schemas = Schemas()
        self.store = EtcdStore()
        self.admission = Admission(self.store, self.kinds)
        self.unknown_fields: list[str] = []
        """All fields that clients sent and no schema knows: the server drops them."""
        self._random = random.Random(seed)

    # Reading

    def get(self, call: ApiCall) -> Obj:
        found = self.store.get(call.kind, call.namespace, call.name)
        if found is None:
            raise not_found(call.kind, call.name)
        return found

    def list(self, call: ApiCall) -> tuple[list[Obj], Obj]:
        """The objects that are asked for, and the metadata of the list."""
        fits = matching(call)
        limit = int(call.query.get("limit") or 0)
        token = call.query.get("continue")
        asked = call.query.get("resourceVersion", "")
        with self.store.lock:
            revision, after = self.store.revision, ""
            if token:
                said = _read_token(token)
                revision, after = said["rv"], said["start"]
            elif asked not in ("", "0"):
                revision = self._asked(call, asked)
            if revision == self.store.revision:
                found = self.store.all(call.kind, call.namespace)
            else:
                try:
                    found = self.store.snapshot(call.kind, call.namespace, revision)
                except StatusError as error:
                    if token:  # the rest may be had as it is now
                        error.meta["continue"] = _token(self.store.revision, after)
                    raise
        found = [obj for obj in found if fits(obj) and (not after or _key(obj) > after)]
        meta: Obj = {"resourceVersion": str(revision)}
        if limit and len(found) > limit:
            meta["continue"] = _token(revision, _key(found[limit - 1]))
            if not (call.query.get("labelSelector") or call.query.get("fieldSelector")):
                meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return found, meta

    def _asked(self, call: ApiCall, asked: str) -> int:
        if not asked.isdigit():
            message = (
                f'resourceVersion: Invalid value: "{asked}": strconv.ParseUint: parsing "{asked}": '
                "invalid syntax"
            )
            raise bad_request(message)
        revision = int(asked)
        if revision > self.store.revision:
            message = f"Too large resource version: {revision}, current: {self.store.revision}"
            causes = [
                {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            ]
            raise StatusError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})
        exact = call.query.get("resourceVersionMatch") == "Exact"
        return revision if exact else self.store.revision

    # Writing

    def create(self, call: ApiCall) -> Obj:
        obj = self._decoded(call, call.body)
        with self.store.lock:
            return self._create(call, obj, self._noted_create)

    def _noted_create(self, call: ApiCall, obj: Obj) -> None:
        managed.note_update(None, obj, self.schemas.shape(call.kind), self._writer(call))

    def _create(self, call: ApiCall, obj: Obj, note: Callable[[ApiCall, Obj], None]) -> Obj:
        kind, meta = call.kind, obj["metadata"]
        self._check_namespace(call, meta)
        if meta.get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        for name in ("uid", "creationTimestamp", "deletionTimestamp", "generation", "selfLink",
                     "deletionGracePeriodSeconds"):  # fmt: skip
            meta.pop(name, None)
        if not meta.get("name") and meta.get("generateName"):
            suffix = "".join(self._random.choice(_LETTERS) for _ in range(5))
            meta["name"] = meta["generateName"][:58] + suffix
        meta["uid"] = self.new_uid()
        meta["creationTimestamp"] = self.clock.stamp()
        if call.kind.namespaced:
            meta["namespace"] = call.namespace
        if kind.generations:
            meta["generation"] = 1
        if kind.status and kind.name != "Namespace":
            obj.pop("status", None)
        self._fill(kind, obj)
        note(call, obj)
        if kind.name == "Job" and not kind.custom:
            defaults.own_job(obj)
        self.admission.create(call, obj)
        self._initial_status(kind, obj)
        errors = rules.creation_errors(kind, obj, self.schemas)
        if errors:
            raise invalid(kind, meta.get("name") or meta.get("generateName", ""), errors)
        self.admission.quota(call, obj)
        if self.store.get(kind, call.namespace, meta["name"]) is not None:
            raise already_exists(kind, meta["name"])
        return obj if call.dry_run else self.store.put(kind, obj)

    def new_uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _fill(self, kind: Kind, obj: Obj) -> None:
        if kind.name == "Secret" and not kind.custom:
            problem = rules.secret_data_error(obj)
            if problem:
                message = f'Secret in version "v1" cannot be handled as a Secret: {problem}'
                raise bad_request(message)
        defaults.fill_in(kind, obj)

    @staticmethod
    def _initial_status(kind: Kind, obj: Obj) -> None:
        if kind.custom:
            return
        if kind.name == "Pod":
            obj["status"] = {"phase": "Pending", "qosClass": _quality(obj)}
        elif kind.name == "PersistentVolumeClaim":
            obj["status"] = {"phase": "Pending"}
        elif kind.name in ("Job", "Deployment", "ReplicaSet", "CronJob"):
            obj["status"] = {"replicas": 0} if kind.name == "ReplicaSet" else {}

    def update(self, call: ApiCall) -> tuple[Obj, bool]:
        """The object after it was replaced, and whether it was created by that."""
        sent = self._decoded(call, call.body)
        meta = sent["metadata"]
        if meta.get("name", call.name) != call.name:
            message = (
                f"the name of the object ({meta['name']}) does not match the name on the URL "
                f"({call.name})"
            )
            raise bad_request(message)
        meta["name"] = call.name
        self._check_namespace(call, meta)
        with self.store.lock:
            old = self.store.get(call.kind, call.namespace, call.name)
            if old is None:
                if call.kind.create_on_update and not call.subresource:
                    return self._create(call, sent, self._noted_create), True
                raise not_found(call.kind, call.name)
            if (not meta.get("resourceVersion") and not call.kind.unconditional) or (
                call.kind.custom and not meta.get("resourceVersion")
            ):
                problem = invalid_value(
                    "metadata.resourceVersion", 0, "must be specified for an update"
                )
                raise invalid(call.kind, call.name, [problem])
            self._check_preconditions(call.kind, old, meta)
            return self._write(call, old, sent), False

    def patch(self, call: ApiCall) -> tuple[Obj, bool]:
        """The object after a patch, and whether it was created by that."""
        kind = call.kind
        with self.store.lock:
            old = self.store.get(kind, call.namespace, call.name)
            if call.content_type == APPLY:
                return self._apply(call, old)
            if old is None:
                raise not_found(kind, call.name)
            if call.content_type == JSON:
                new = patches.json_patch(old, call.body)
            elif call.content_type == MERGE:
                new = patches.merge_patch(old, call.body)
            elif call.content_type == STRATEGIC and not kind.custom:
                new = patches.strategic_patch(old, call.body, self.schemas.shape(kind))
            else:
                raise _unsupported_media(kind)
            sent = self._decoded(call, copied(new))
            self._check_preconditions(kind, old, sent["metadata"])
            return self._write(call, old, sent), False

    def _apply(self, call: ApiCall, old: Obj | None) -> tuple[Obj, bool]:
        if not call.query.get("fieldManager"):
            why = "is required for apply patch"
            raise options_error("PatchOptions", required("fieldManager", why))
        kind, sent = call.kind, call.body
        if not isinstance(sent, dict) or (sent.get("apiVersion"), sent.get("kind")) != (
            kind.api_version,
            kind.name,
        ):
            raise bad_request(f"apiVersion and kind must be {kind.api_version}, {kind.name}")
        config = self._decoded(call, sent, applied=True)
        config["metadata"].setdefault("name", call.name)
        if kind.namespaced:
            config["metadata"].setdefault("namespace", call.namespace)
        if config["metadata"]["name"] != call.name:
            raise bad_request(
                f"the name of the object ({config['metadata']['name']}) does not match the name on "
                f"the URL ({call.name})"
            )
        shape = self.schemas.shape(kind)
        if old is None:
            if call.subresource:
                raise not_found(kind, call.name)
            given = dict(config["metadata"])
            if given.get("uid") or given.get("resourceVersion"):
                raise conflict(kind, call.name)
            made = managed.apply(None, config, shape, self._writer(call))
            return self._create(call, made, lambda _call, _obj: None), True
        uid = config["metadata"].pop("uid", old["metadata"]["uid"])
        if uid != old["metadata"]["uid"]:
            problem = invalid_value("metadata.uid", uid, "field is immutable")
            raise invalid(kind, call.name, [problem])
        self._check_preconditions(kind, old, config["metadata"])
        config["metadata"].pop("resourceVersion", None)
        merged = managed.apply(old, config, shape, self._writer(call))
        return self._write(call, old, merged, noted=True), False

    def _write(self, call: ApiCall, old: Obj, sent: Obj, noted: bool = False) -> Obj:
        """Replace an object by what was sent, with all that a client cannot change kept."""
        kind = call.kind
        new = kept_of(call, old, sent)
        self._fill(kind, new)
        if kind.generations and _counted(new, kind) != _counted(old, kind):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
        errors = rules.update_errors(kind, new, old, self.schemas)
        if errors:
            raise invalid(kind, call.name, errors)
        for webhook in self.admission.webhooks if kind.custom and not call.subresource else ():
            webhook(kind, new)
        if not noted:
            managed.note_update(old, new, self.schemas.shape(kind), self._writer(call))
        if _without_times(new) == _without_times(old):
            return old
        if call.dry_run:
            return new
        gone = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        if gone and not new["metadata"].get("deletionGracePeriodSeconds"):
            self.store.put(kind, new)
            return self.store.remove(kind, new)
        return self.store.put(kind, new)

    # What the others need

    def _decoded(self, call: ApiCall, body: Any, applied: bool = False) -> Obj:
        kind = call.kind
        if isinstance(body, dict):
            said = (body.get("apiVersion") or kind.api_version, body.get("kind") or kind.name)
            if said != (kind.api_version, kind.name):
                raise bad_request(
                    f"the API version in the data ({said[0]}) does not match the expected API "
                    f"version ({kind.api_version})"
                    if said[0] != kind.api_version
                    else f"the kind in the data ({said[1]}) is not {kind.name}"
                )
            body.update(apiVersion=kind.api_version, kind=kind.name)
        obj, unknown = decode(kind, body, self.schemas.shape(kind))
        self.unknown_fields += [f"{kind.name}.{path}" for path in unknown]
        if unknown and applied:
            where = f"{call.namespace}/{call.name}; {kind.api_version}, Kind={kind.name}"
            message = (
                f"failed to create typed patch object ({where}): .{unknown[0]}: field not "
                "declared in schema"
            )
            raise StatusError(500, "InternalError", message)
        if unknown and call.query.get("fieldValidation") == "Strict":
            errors = ", ".join(f'unknown field "{path}"' for path in unknown)
            raise bad_request(f"strict decoding error: {errors}")
        if call.query.get("fieldValidation") != "Ignore":
            call.warnings.extend(f'unknown field "{path}"' for path in unknown)
        obj.setdefault("metadata", {})
        return obj

    @staticmethod
    def _check_namespace(call: ApiCall, meta: Obj) -> None:
        said = meta.get("namespace")
        if call.kind.namespaced and said and said != call.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )

    @staticmethod
    def _check_preconditions(kind: Kind, old: Obj, meta: Obj) -> None:
        uid, real = meta.get("uid"), old["metadata"]["uid"]
        if uid and uid != real:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {real}"
            raise conflict(kind, old["metadata"]["name"], why)
        revision = meta.get("resourceVersion")
        if revision and revision != old["metadata"]["resourceVersion"]:
            raise conflict(kind, old["metadata"]["name"])

    def _writer(self, call: ApiCall) -> managed.FieldWriter:
        return managed.FieldWriter(
            call.manager,
            call.kind.api_version,
            self.clock.stamp(),
            call.subresource,
            call.flag("force"),
        )


def kept_of(call: ApiCall, old: Obj, sent: Obj) -> Obj:
    """What was sent, with what this endpoint does not change taken from the object."""
    kind = call.kind
    new: Obj = copied(sent)
    if call.subresource == "status":
        if not kind.status and not kind.custom:
            raise not_allowed()
        status = new.get("status")
        meta = old["metadata"] if kind.custom else new["metadata"]
        new = {**copied(old), "metadata": copied(meta)}
        new["metadata"]["managedFields"] = copied(sent["metadata"].get("managedFields", []))
        new.pop("status", None)
        if status is not None:
            new["status"] = status
    elif kind.status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = copied(old["status"])
    meta = new["metadata"]
    for name in _KEPT:
        meta.pop(name, None)
        if name in old["metadata"]:
            meta[name] = old["metadata"][name]
    meta["resourceVersion"] = old["metadata"]["resourceVersion"]
    if call.subresource == "status" and not meta.get("managedFields"):
        meta["managedFields"] = copied(old["metadata"].get("managedFields", []))
    return new


def matching(call: ApiCall) -> Match:
    """Whether an object is among those that the call selects."""
    tests: list[Match] = []
    if call.query.get("labelSelector"):
        tests.append(label_match(call.query["labelSelector"]))
    if call.query.get("fieldSelector"):
        tests.append(field_match(call.kind, call.query["fieldSelector"]))
    return lambda obj: all(test(obj) for test in tests)


def _counted(obj: Obj, kind: Kind) -> Obj:
    """What the generation counts the changes of."""
    if kind.custom and not kind.status:
        return {key: value for key, value in obj.items() if key != "metadata"}
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _without_times(obj: Obj) -> Obj:
    meta = dict(obj["metadata"])
    meta.pop("resourceVersion", None)
    found = meta.pop("managedFields", [])
    fields = [{key: value for key, value in each.items() if key != "time"} for each in found]
    return {**obj, "metadata": {**meta, "managedFields": fields}}


def _key(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _token(revision: int, start: str) -> str:
    said = {"v": "meta.k8s.io/v1", "rv": revision, "start": start}
    return base64.urlsafe_b64encode(to_json(said)).decode().rstrip("=")


def _read_token(token: str) -> Obj:
    try:
        said: Obj = from_json(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return {"rv": int(said["rv"]), "start": str(said["start"])}
    except (ValueError, KeyError, TypeError):
        raise bad_request(f"continue key is not valid: {token}") from None


def _quality(pod: Obj) -> str:
    """The quality of service that a pod's requests and limits give it."""
    found = [container["resources"] for container in pod["spec"].get("containers", ())]
    if not any(each.get("requests") or each.get("limits") for each in found):
        return "BestEffort"
    whole = all(
        dig(each, "limits", name) and each["limits"][name] == dig(each, "requests", name)
        for each in found
        for name in ("cpu", "memory")
    )
    return "Guaranteed" if whole else "Burstable"


def _unsupported_media(kind: Kind) -> StatusError:
    accepted = [JSON, MERGE, *([] if kind.custom else [STRATEGIC]), APPLY]
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return StatusError(415, "UnsupportedMediaType", message)
