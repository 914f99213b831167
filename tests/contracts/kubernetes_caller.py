"""What the contract of Kubernetes API servers calls, and the objects that it begins with."""

import json
from typing import Any, Protocol, Self

import httpx
import pytest

Obj = dict[str, Any]

PATIENCE = 30.0
"""Seconds after which something that should happen has not."""
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class KubernetesSite(Protocol):
    """A server to test, with an administrator's rights."""

    version: tuple[int, int]
    """Its release, as (1, 37)."""

    def client(self) -> httpx.Client:
        """A client with the server's address and an administrator's token."""
        ...

    def compact(self) -> None:
        """Make etcd, or what stands for it, forget all that was before the latest write."""
        ...


def since(site: KubernetesSite, major: int, minor: int) -> None:
    """Skip the test on a release before that one."""
    if site.version < (major, minor):
        pytest.skip(f"it is so since Kubernetes {major}.{minor}")


def job(name: str = "train", **spec: Any) -> Obj:
    container = {"name": "main", "image": "trainer:1", "command": ["train"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "suspend": True, "template": {"spec": pod}, **spec},
    }


def config(name: str = "settings", labels: Obj | None = None, **data: str) -> Obj:
    meta: Obj = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def deployment(name: str = "server", replicas: int | None = 1, **container: Any) -> Obj:
    main = {"name": "main", "image": "server:1", **container}
    spec: Obj = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [main]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class ApiCaller:
    """Calls for objects of one namespace, and what they answer."""

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self.http = http
        self.namespace = namespace

    def path(self, plural: str, name: str = "", group: str = "") -> str:
        groups = {"jobs": "batch/v1", "deployments": "apps/v1", "leases": "coordination.k8s.io/v1"}
        where = group or groups.get(plural, "")
        root = f"/apis/{where}" if where else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def create(self, plural: str, obj: Obj, **query: str) -> httpx.Response:
        return self.http.post(self.path(plural), json=obj, params=query)

    def made(self, plural: str, obj: Obj, **query: str) -> Obj:
        return ok(self.create(plural, obj, **query), 201)

    def get(self, plural: str, name: str) -> httpx.Response:
        return self.http.get(self.path(plural, name))

    def list(self, plural: str, **query: str) -> httpx.Response:
        return self.http.get(self.path(plural), params=query)

    def put(self, plural: str, obj: Obj, part: str = "", **query: str) -> httpx.Response:
        path = self.path(plural, obj["metadata"]["name"]) + part
        return self.http.put(path, json=obj, params=query)

    def patch(self, plural: str, name: str, kind: str, body: Any, **query: str) -> httpx.Response:
        part = query.pop("part", "")
        headers = {"Content-Type": kind}
        path = self.path(plural, name) + part
        return self.http.patch(path, content=json.dumps(body), headers=headers, params=query)

    def apply(
        self, plural: str, obj: Obj, manager: str = "headgate", **query: str
    ) -> httpx.Response:
        said = {"fieldManager": manager, **query}
        return self.patch(plural, obj["metadata"]["name"], APPLY_PATCH, obj, **said)

    def delete(
        self, plural: str, name: str, body: Obj | None = None, **query: str
    ) -> httpx.Response:
        path = self.path(plural, name)
        return self.http.request("DELETE", path, json=body, params=query)

    def watch(self, plural: str, **query: str) -> "OpenWatch":
        return OpenWatch(self.http, self.path(plural), {"watch": "true", **query})


class OpenWatch:
    """An open watch, read event by event."""

    def __init__(self, http: httpx.Client, path: str, query: dict[str, str]) -> None:
        timeout = httpx.Timeout(PATIENCE)
        self._stream = http.stream("GET", path, params=query, timeout=timeout)

    def __enter__(self) -> Self:
        self.response = self._stream.__enter__()
        self._lines = self.response.iter_lines()
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(None, None, None)

    def next(self) -> tuple[str, Obj]:
        event = json.loads(next(self._lines))
        return event["type"], event["object"]

    def rest(self) -> list[tuple[str, Obj]]:
        """All events until the server ends the watch."""
        return [(each["type"], each["object"]) for each in map(json.loads, self._lines)]


def ok(response: httpx.Response, status: int = 200) -> Obj:
    assert response.status_code == status, response.text
    body: Obj = response.json()
    return body


def refused(response: httpx.Response, code: int, reason: str) -> Obj:
    """The Status of a refusal, which must say the same as the HTTP response."""
    body: Obj = response.json()
    assert (response.status_code, body.get("reason")) == (code, reason), response.text
    assert body["kind"] == "Status"
    assert body["status"] == "Failure"
    assert body["code"] == code
    return body


def unversioned(obj: Obj) -> Obj:
    """The object for an update that a controller's writes in between do not stand against."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": meta}


def causes(body: Obj) -> list[tuple[str, str]]:
    return [(each["reason"], each["field"]) for each in body["details"]["causes"]]


def managers(obj: Obj) -> dict[tuple[str, str], Obj]:
    """The sets of fields by manager and operation."""
    found = obj["metadata"]["managedFields"]
    return {(each["manager"], each["operation"]): each["fieldsV1"] for each in found}
