"""The API server without its transport: a request in, a reply out."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import from_json, to_json

from tests.doubles.kubernetes.api import deletion, discovery
from tests.doubles.kubernetes.api.access import ApiAccess
from tests.doubles.kubernetes.api.admission import too_many
from tests.doubles.kubernetes.api.calls import ApiCall, ApiReply, ApiUser, parsed
from tests.doubles.kubernetes.api.definitions import Definitions
from tests.doubles.kubernetes.api.faults import ApiFaults, CallCount
from tests.doubles.kubernetes.api.pod_logs import LogSource, read_logs
from tests.doubles.kubernetes.api.verbs import APPLY, Verbs
from tests.doubles.kubernetes.api.watch import Watches
from tests.doubles.kubernetes.base.kinds import Kind
from tests.doubles.kubernetes.base.objects import Obj
from tests.doubles.kubernetes.base.refusals import (
    StatusError,
    bad_request,
    conflict,
    no_such_path,
    not_allowed,
)

REVIEWS = "authorization.k8s.io"


class ApiService:
    """Answers requests as the API server does."""

    def __init__(self, verbs: Verbs, logs: LogSource) -> None:
        self.verbs = verbs
        self.access = ApiAccess(verbs.store, verbs.kinds)
        self.faults = ApiFaults()
        self.count = CallCount()
        self.watches = Watches(verbs)
        self.definitions = Definitions(verbs)
        self._logs = logs

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[ApiReply, ApiCall | None]:
        """The reply, and the call that the request made of it."""
        call: ApiCall | None = None
        try:
            path = urlsplit(target).path
            if path in ("/healthz", "/livez", "/readyz"):
                return ApiReply(200, b"ok", content_type="text/plain"), None
            user = self.access.user(headers.get("authorization", ""))
            if method == "POST" and path.startswith(f"/apis/{REVIEWS}/"):
                return self._review(path, user, body), None
            document = discovery.document(path, self.verbs.kinds) if method == "GET" else None
            if document is not None:
                return ApiReply(200, document), None
            call = parsed(method, target, self.verbs.kinds)
            if call is None:
                if not discovery.has_group(
                    path, self.verbs.kinds
                ):  # no Status, as from the real one
                    plain = b"404 page not found\n"
                    return ApiReply(404, plain, content_type="text/plain; charset=utf-8"), None
                raise no_such_path()
            call.user = user
            call.agent = headers.get("user-agent", "")
            call.content_type = headers.get("content-type", "").partition(";")[0]
            self.count.add(call)
            self._hinder(call)
            call.body = _content(body, call)
            self.access.check(call)
            reply = self._serve(call)
        except StatusError as error:
            reply = refused(error)
        for warning in call.warnings if call else ():
            reply.headers["Warning"] = f'299 - "{warning}"'
        return reply, call

    def _hinder(self, call: ApiCall) -> None:
        if self.faults.fails is not None and self.faults.fails(call):
            raise StatusError(500, "InternalError", "etcdserver: request timed out")
        wait = self.faults.throttled(call)
        if wait:
            raise too_many(wait)
        if self.faults.conflicts(call):
            raise conflict(call.kind, call.name)

    def _serve(self, call: ApiCall) -> ApiReply:
        if call.subresource not in ("", "status"):
            return self._subresource(call)
        if call.subresource == "status" and not call.kind.status:
            raise no_such_path()
        handlers: dict[str, Callable[[ApiCall], ApiReply]] = {
            "get": lambda call: ApiReply(200, self.verbs.get(call)),
            "list": self._list,
            "watch": lambda call: ApiReply(200, stream=iter(self.watches.stream(call))),
            "create": self._create,
            "update": self._changed(self.verbs.update),
            "patch": self._changed(self.verbs.patch),
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        if call.verb == "create" and call.kind.namespaced and not call.namespace:
            raise not_allowed()
        reply = handlers[call.verb](call)
        if call.kind.name == "CustomResourceDefinition":
            self.definitions.refresh()
        return reply

    def _list(self, call: ApiCall) -> ApiReply:
        items, meta = self.verbs.list(call)
        return ApiReply(200, list_of(call.kind, items, meta))

    def _create(self, call: ApiCall) -> ApiReply:
        return ApiReply(201, self.verbs.create(call))

    @staticmethod
    def _changed(change: Callable[[ApiCall], tuple[Obj, bool]]) -> Callable[[ApiCall], ApiReply]:
        def reply(call: ApiCall) -> ApiReply:
            obj, created = change(call)
            return ApiReply(201 if created else 200, obj)

        return reply

    def _delete(self, call: ApiCall) -> ApiReply:
        obj, gone = deletion.delete(self.verbs, call)
        if not gone or call.kind.name == "Pod":
            return ApiReply(200, obj)
        details = {
            "name": call.name,
            "group": call.kind.group,
            "kind": call.kind.plural,
            "uid": obj["metadata"]["uid"],
        }
        said = {key: value for key, value in details.items() if value}
        return ApiReply(
            200,
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
             "details": said},
        )  # fmt: skip

    def _delete_collection(self, call: ApiCall) -> ApiReply:
        found = deletion.delete_collection(self.verbs, call)
        return ApiReply(200, list_of(call.kind, found, {}))

    def _subresource(self, call: ApiCall) -> ApiReply:
        named = (call.kind.name, call.subresource, call.verb)
        if named == ("Pod", "log", "get"):
            return read_logs(self.verbs, self._logs, call)
        if named == ("Pod", "eviction", "create"):
            return self._evict(call)
        raise no_such_path()

    def _evict(self, call: ApiCall) -> ApiReply:
        """An eviction by its API deletes the pod, with a condition that says why."""
        options = (call.body or {}).get("deleteOptions") or {}
        pod = ApiCall("get", call.kind, call.namespace, call.name, body=options, user=call.user)
        found = self.verbs.get(pod)
        status = dict(found.get("status", {}))
        disrupted = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastTransitionTime": self.verbs.clock.stamp(),
        }
        status["conditions"] = [*status.get("conditions", ()), disrupted]
        self.verbs.store.put(call.kind, {**found, "status": status})
        deletion.delete(self.verbs, pod)
        return ApiReply(
            201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        )

    def _review(self, path: str, user: ApiUser, body: bytes) -> ApiReply:
        review: Any = from_json(body)
        if path.endswith("/selfsubjectaccessreviews"):
            about = user
        elif path.endswith("/subjectaccessreviews"):
            spec = review["spec"]
            about = ApiUser(spec.get("user", ""), tuple(spec.get("groups") or ()))
        else:
            raise no_such_path()
        status = self.access.review(about, review["spec"])
        return ApiReply(201, {**review, "metadata": {}, "status": status})


def list_of(kind: Kind, items: list[Obj], meta: Obj) -> Obj:
    """A list of objects, which leave out what the list says for all, as built-in kinds do."""
    if not kind.custom:
        items = [
            {k: v for k, v in each.items() if k not in ("kind", "apiVersion")} for each in items
        ]
    return {
        "kind": f"{kind.name}List",
        "apiVersion": kind.api_version,
        "metadata": meta,
        "items": items,
    }


def refused(error: StatusError) -> ApiReply:
    if error.code == 429 and "Retry-After" in error.headers:
        plain = f"{error.message}\n".encode()
        return ApiReply(429, plain, error.headers, content_type="text/plain; charset=utf-8")
    return ApiReply(error.code, error.body(), error.headers)


def _content(body: bytes, call: ApiCall) -> Any:
    if not body:
        if call.verb in ("create", "update", "patch"):
            raise bad_request("the body of the request was empty")
        return None
    try:
        return from_json(body)
    except ValueError:
        if call.content_type != APPLY:
            raise bad_request("couldn't get version/kind; json parse error") from None
    from ruamel.yaml import YAML

    return from_json(to_json(YAML(typ="safe", pure=True).load(body)))
