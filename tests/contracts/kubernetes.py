"""The contract of a Kubernetes API server, as far as Headgate relies on it.

It runs over the double and over a real server, so it needs no controller and no node. A server's
tests subclass `KubernetesApiContract` and provide the fixture `site`. Where releases differ, the
double follows 1.37, and the test is for those from which it holds.
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

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


class Api:
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

    def watch(self, plural: str, **query: str) -> "Watch":
        return Watch(self.http, self.path(plural), {"watch": "true", **query})


class Watch:
    """An open watch, read event by event."""

    def __init__(self, http: httpx.Client, path: str, query: dict[str, str]) -> None:
        timeout = httpx.Timeout(PATIENCE)
        self._stream = http.stream("GET", path, params=query, timeout=timeout)

    def __enter__(self) -> "Watch":
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


class KubernetesApiContract:
    """What any API server does."""

    @pytest.fixture
    def site(self) -> KubernetesSite:
        raise NotImplementedError

    @pytest.fixture
    def api(self, site: KubernetesSite) -> Iterator[Api]:
        """A namespace of the test's own."""
        name = f"contract-{uuid.uuid4().hex[:10]}"
        with site.client() as http:
            ok(http.post("/api/v1/namespaces", json={"metadata": {"name": name}}), 201)
            api = Api(http, name)
            made = api.create("serviceaccounts", {"metadata": {"name": "default"}})
            assert made.status_code in (201, 409)  # a controller may have been faster
            yield api
            http.delete(f"/api/v1/namespaces/{name}")

    # Creating and reading

    def test_a_new_object_gets_an_identity_and_defaults(self, api: Api) -> None:
        made = api.made("jobs", job())
        assert made["metadata"]["uid"]
        assert made["metadata"]["resourceVersion"]
        assert made["metadata"]["creationTimestamp"].endswith("Z")
        assert made["metadata"]["generation"] == 1
        assert made["spec"]["parallelism"] == made["spec"]["completions"] == 1
        pod = made["spec"]["template"]
        assert pod["metadata"]["labels"]["job-name"] == "train"
        assert made["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["terminationGracePeriodSeconds"] == 30
        assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        found = ok(api.get("jobs", "train"))
        assert (found["metadata"]["uid"], found["spec"]) == (made["metadata"]["uid"], made["spec"])

    def test_what_a_limit_is_set_for_is_requested(self, api: Api) -> None:
        body = job()
        main = body["spec"]["template"]["spec"]["containers"][0]
        main["resources"] = {"limits": {"nvidia.com/gpu": "1", "memory": "2048Mi"}}
        made = api.made("jobs", body)
        resources = made["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert resources["limits"]["nvidia.com/gpu"] == "1"
        assert resources["limits"]["memory"] in ("2Gi", "2048Mi")

    def test_a_second_one_of_the_name_is_refused(self, api: Api) -> None:
        api.made("configmaps", config(a="1"))
        body = refused(api.create("configmaps", config(a="2")), 409, "AlreadyExists")
        assert body["details"] == {"name": "settings", "kind": "configmaps"}
        assert body["message"] == 'configmaps "settings" already exists'

    def test_what_is_not_there_is_not_found(self, api: Api) -> None:
        body = refused(api.get("jobs", "gone"), 404, "NotFound")
        assert body["details"] == {"name": "gone", "group": "batch", "kind": "jobs"}
        assert body["message"] == 'jobs.batch "gone" not found'
        refused(api.delete("jobs", "gone"), 404, "NotFound")
        gone = {**config(), "metadata": {"name": "gone"}}
        refused(api.patch("configmaps", "gone", MERGE_PATCH, gone), 404, "NotFound")

    def test_nothing_is_made_in_a_namespace_that_is_not_there(self, site: KubernetesSite) -> None:
        with site.client() as http:
            body = refused(Api(http, "nowhere").create("configmaps", config()), 404, "NotFound")
        assert body["details"] == {"name": "nowhere", "kind": "namespaces"}

    def test_a_name_may_be_drawn(self, api: Api) -> None:
        body = {"metadata": {"generateName": "drawn-"}}
        names = {api.made("configmaps", body)["metadata"]["name"] for _ in range(3)}
        assert len(names) == 3
        assert all(name.startswith("drawn-") and len(name) == 11 for name in names)

    def test_a_dry_run_answers_as_if_and_keeps_nothing(self, api: Api) -> None:
        made = api.made("jobs", job(), dryRun="All")
        assert made["spec"]["completions"] == 1
        refused(api.get("jobs", "train"), 404, "NotFound")
        refused(api.create("jobs", job("Bad_Name"), dryRun="All"), 422, "Invalid")

    # Validation

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"restartPolicy": "Sometimes"}, "spec.template.spec.restartPolicy"),
            ({"containers": []}, "spec.template.spec.containers"),
        ],
        ids=["restart policy", "no containers"],
    )
    def test_a_bad_pod_is_told_by_field(self, api: Api, change: Obj, where: str) -> None:
        body = job()
        body["spec"]["template"]["spec"].update(change)
        status = refused(api.create("jobs", body), 422, "Invalid")
        assert where in [field for _, field in causes(status)]
        assert status["details"]["kind"] == "Job"
        assert status["message"].startswith('Job.batch "train" is invalid: ')

    @pytest.mark.parametrize(
        ("change", "reason", "part"),
        [
            ({"image": ""}, "FieldValueRequired", "image"),
            ({"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}},
             "FieldValueInvalid", "resources.requests"),
            ({"volumeMounts": [{"name": "none", "mountPath": "/x"}]},
             "FieldValueNotFound", "volumeMounts[0].name"),
            ({"env": [{"name": "A=B", "value": "1"}]}, "FieldValueInvalid", "env[0].name"),
            ({"imagePullPolicy": "Often"}, "FieldValueNotSupported", "imagePullPolicy"),
        ],
        ids=["image", "request above limit", "mount", "variable", "pull policy"],
    )  # fmt: skip
    def test_a_bad_container_is_told_by_field(
        self, api: Api, change: Obj, reason: str, part: str
    ) -> None:
        body = job()
        body["spec"]["template"]["spec"]["containers"][0].update(change)
        status = refused(api.create("jobs", body), 422, "Invalid")
        assert (reason, f"spec.template.spec.containers[0].{part}") in causes(status)

    def test_a_quantity_that_is_none_is_refused(self, api: Api) -> None:
        body = job()
        main = body["spec"]["template"]["spec"]["containers"][0]
        main["resources"] = {"limits": {"memory": "1 gigabyte"}}
        assert api.create("jobs", body).status_code in (400, 422)

    @pytest.mark.parametrize(
        ("labels", "field"),
        [({"a": "no spaces"}, "metadata.labels"), ({"/x": "1"}, "metadata.labels")],
        ids=["value", "key"],
    )
    def test_a_bad_label_is_refused(self, api: Api, labels: Obj, field: str) -> None:
        status = refused(api.create("configmaps", config(labels=labels)), 422, "Invalid")
        assert causes(status)[0] == ("FieldValueInvalid", field)

    def test_a_bad_name_is_refused(self, api: Api) -> None:
        status = refused(api.create("configmaps", config("Upper")), 422, "Invalid")
        assert causes(status) == [("FieldValueInvalid", "metadata.name")]

    def test_a_value_of_another_type_is_a_bad_request(self, api: Api) -> None:
        refused(api.create("jobs", job(backoffLimit="none")), 400, "BadRequest")

    def test_an_unknown_field_is_dropped(self, api: Api) -> None:
        assert "replicas" not in api.made("jobs", job(replicas=3))["spec"]

    def test_an_unknown_field_is_warned_of(self, site: KubernetesSite, api: Api) -> None:
        since(site, 1, 25)
        response = api.create("jobs", job(replicas=3))
        assert 'unknown field "spec.replicas"' in response.headers["warning"]
        strict = api.create("jobs", job("other", replicas=3), fieldValidation="Strict")
        assert 'unknown field "spec.replicas"' in refused(strict, 400, "BadRequest")["message"]

    # Updating

    def test_a_stale_update_is_a_conflict(self, api: Api) -> None:
        first = api.made("configmaps", config(a="1"))
        second = ok(api.put("configmaps", {**first, "data": {"a": "2"}}))
        assert int(second["metadata"]["resourceVersion"]) > int(
            first["metadata"]["resourceVersion"]
        )
        status = refused(api.put("configmaps", {**first, "data": {"a": "3"}}), 409, "Conflict")
        assert "the object has been modified" in status["message"]
        assert status["details"] == {"name": "settings", "kind": "configmaps"}

    def test_an_update_without_a_version_wins(self, api: Api) -> None:
        api.made("configmaps", config(a="1"))
        assert ok(api.put("configmaps", config(a="2")))["data"] == {"a": "2"}

    def test_an_update_that_changes_nothing_is_no_write(self, api: Api) -> None:
        first = api.made("configmaps", config(a="1"))
        again = ok(api.put("configmaps", first))
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_an_update_of_another_object_of_the_name_is_a_conflict(self, api: Api) -> None:
        first = api.made("configmaps", config(a="1"))
        ok(api.delete("configmaps", "settings"))
        api.made("configmaps", config(a="1"))
        first["metadata"].pop("resourceVersion")
        refused(api.put("configmaps", first), 409, "Conflict")

    def test_the_generation_counts_changes_of_the_spec_only(self, api: Api) -> None:
        made = unversioned(api.made("deployments", deployment()))
        made["metadata"]["labels"] = {"team": "ml"}
        made = unversioned(ok(api.put("deployments", made)))
        assert made["metadata"]["generation"] == 1
        made["spec"]["replicas"] = 2
        assert ok(api.put("deployments", made))["metadata"]["generation"] == 2

    def test_status_and_spec_are_written_apart(self, api: Api) -> None:
        made = unversioned(api.made("jobs", job()))
        made["status"] = {"failed": 7}
        assert "failed" not in ok(api.put("jobs", made)).get("status", {})
        made["spec"]["parallelism"] = 5
        after = ok(api.put("jobs", made, "/status"))
        assert after["status"]["failed"] == 7
        assert after["spec"]["parallelism"] == 1
        assert after["metadata"]["generation"] == 1

    def test_the_template_of_a_job_cannot_be_changed(self, api: Api) -> None:
        made = unversioned(api.made("jobs", job()))
        made["spec"]["template"]["spec"]["containers"][0]["image"] = "trainer:2"
        status = refused(api.put("jobs", made), 422, "Invalid")
        assert causes(status) == [("FieldValueInvalid", "spec.template")]

    def test_a_lease_needs_its_version(self, api: Api) -> None:
        lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
        made = api.made("leases", lease)
        refused(api.put("leases", lease), 422, "Invalid")
        made["spec"]["holderIdentity"] = "b"
        ok(api.put("leases", made))
        refused(api.put("leases", made), 409, "Conflict")

    # Patches

    def test_a_merge_patch(self, api: Api) -> None:
        api.made("configmaps", config(a="1", b="2"))
        patch = {"data": {"a": None, "c": "3"}}
        after = ok(api.patch("configmaps", "settings", MERGE_PATCH, patch))
        assert after["data"] == {"b": "2", "c": "3"}

    def test_a_json_patch_and_its_test(self, api: Api) -> None:
        api.made("configmaps", config(a="1"))
        steps = [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "replace", "path": "/data/a", "value": "2"},
            {"op": "add", "path": "/metadata/labels", "value": {}},
            {"op": "add", "path": "/metadata/labels/x~1y", "value": "3"},
        ]
        after = ok(api.patch("configmaps", "settings", JSON_PATCH, steps))
        assert after["data"] == {"a": "2"}
        assert after["metadata"]["labels"] == {"x/y": "3"}

    def test_a_json_patch_whose_test_fails_changes_nothing(self, api: Api) -> None:
        api.made("configmaps", config(a="1"))
        steps = [
            {"op": "replace", "path": "/data/a", "value": "2"},
            {"op": "test", "path": "/data/a", "value": "1"},
        ]
        refused(api.patch("configmaps", "settings", JSON_PATCH, steps), 422, "Invalid")
        assert ok(api.get("configmaps", "settings"))["data"] == {"a": "1"}

    def test_a_strategic_patch_merges_lists_by_their_key(self, api: Api) -> None:
        api.made("deployments", deployment(env=[{"name": "A", "value": "1"}]))
        main = {"name": "main", "env": [{"name": "B", "value": "2"}]}
        patch = {"spec": {"template": {"spec": {"containers": [main]}}}}
        after = ok(api.patch("deployments", "server", STRATEGIC_PATCH, patch))
        container = after["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == "server:1"
        assert {each["name"] for each in container["env"]} == {"A", "B"}
        gone = {"name": "main", "env": [{"name": "A", "$patch": "delete"}]}
        patch = {"spec": {"template": {"spec": {"containers": [gone]}}}}
        after = ok(api.patch("deployments", "server", STRATEGIC_PATCH, patch))
        env = after["spec"]["template"]["spec"]["containers"][0]["env"]
        assert env == [{"name": "B", "value": "2"}]

    def test_a_patch_may_ask_for_the_version_that_it_saw(self, api: Api) -> None:
        made = api.made("configmaps", config(a="1"))
        version = made["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}
        ok(api.patch("configmaps", "settings", MERGE_PATCH, patch))
        refused(api.patch("configmaps", "settings", MERGE_PATCH, patch), 409, "Conflict")

    def test_a_patch_of_no_known_kind_is_refused(self, api: Api) -> None:
        api.made("configmaps", config(a="1"))
        response = api.patch("configmaps", "settings", "application/json", {})
        refused(response, 415, "UnsupportedMediaType")

    # Server-side apply

    def test_apply_creates_and_changes(self, api: Api) -> None:
        made = ok(api.apply("configmaps", config(a="1")), 201)
        assert managers(made) == {("headgate", "Apply"): {"f:data": {"f:a": {}}}}
        again = ok(api.apply("configmaps", config(a="1")))
        assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert ok(api.apply("configmaps", config(a="2")))["data"] == {"a": "2"}

    def test_apply_needs_a_manager(self, api: Api) -> None:
        response = api.patch("configmaps", "settings", APPLY_PATCH, config(a="1"))
        assert response.status_code in (400, 422)

    def test_apply_removes_what_is_no_longer_applied(self, api: Api) -> None:
        ok(api.apply("configmaps", config(a="1", b="2")), 201)
        ok(api.patch("configmaps", "settings", MERGE_PATCH, {"data": {"c": "3"}}))
        assert ok(api.apply("configmaps", config(a="1")))["data"] == {"a": "1", "c": "3"}

    def test_apply_over_anothers_field_is_a_conflict_unless_forced(self, api: Api) -> None:
        ok(api.apply("deployments", deployment(replicas=1)), 201)
        response = api.apply("deployments", deployment(replicas=3), "scaler")
        status = refused(response, 409, "Conflict")
        assert status["details"]["causes"] == [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "headgate"',
                "field": ".spec.replicas",
            }
        ]
        text = 'Apply failed with 1 conflict: conflict with "headgate": .spec.replicas'
        assert status["message"] == text
        forced = ok(api.apply("deployments", deployment(replicas=3), "scaler", force="true"))
        assert forced["spec"]["replicas"] == 3
        assert "f:replicas" not in managers(forced)["headgate", "Apply"]["f:spec"]
        refused(api.apply("deployments", deployment(replicas=1)), 409, "Conflict")

    def test_two_who_apply_the_same_value_share_the_field(self, api: Api) -> None:
        ok(api.apply("configmaps", config(a="1")), 201)
        ok(api.apply("configmaps", config(a="1"), "other"))
        assert ok(api.apply("configmaps", config(b="2")))["data"] == {"a": "1", "b": "2"}
        assert ok(api.apply("configmaps", config(c="3"), "other"))["data"] == {"b": "2", "c": "3"}

    def test_items_of_a_list_are_managed_by_their_key(self, api: Api) -> None:
        ok(api.apply("deployments", deployment(env=[{"name": "A", "value": "1"}])), 201)
        other = deployment(replicas=None)
        del other["spec"]["selector"]
        other["spec"]["template"] = {
            "spec": {"containers": [{"name": "main", "env": [{"name": "B", "value": "2"}]}]}
        }
        after = ok(api.apply("deployments", other, "other"))
        env = after["spec"]["template"]["spec"]["containers"][0]["env"]
        assert env == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        key = 'k:{"name":"B"}'
        spec = managers(after)["other", "Apply"]["f:spec"]["f:template"]["f:spec"]
        fields = spec["f:containers"]['k:{"name":"main"}']["f:env"][key]
        assert fields == {".": {}, "f:name": {}, "f:value": {}}
        after = ok(api.apply("deployments", deployment()))
        env = after["spec"]["template"]["spec"]["containers"][0]["env"]
        assert env == [{"name": "B", "value": "2"}]

    def test_a_plain_update_takes_the_fields_that_it_changes(self, api: Api) -> None:
        made = ok(api.apply("configmaps", config(a="1", b="2")), 201)
        made["data"]["a"] = "9"
        after = ok(api.put("configmaps", made, fieldManager="hand"))
        assert managers(after)["hand", "Update"] == {"f:data": {"f:a": {}}}
        assert managers(after)["headgate", "Apply"] == {"f:data": {"f:b": {}}}
        status = refused(api.apply("configmaps", config(a="1", b="2")), 409, "Conflict")
        assert status["details"]["causes"][0]["field"] == ".data.a"
        assert status["details"]["causes"][0]["message"].startswith('conflict with "hand" using v1')

    def test_a_dry_apply_tells_of_conflicts_and_changes_nothing(self, api: Api) -> None:
        ok(api.apply("configmaps", config(a="1")), 201)
        response = api.apply("configmaps", config(a="2"), "other", dryRun="All")
        refused(response, 409, "Conflict")
        assert ok(api.apply("configmaps", config(a="2"), dryRun="All"))["data"] == {"a": "2"}
        assert ok(api.get("configmaps", "settings"))["data"] == {"a": "1"}

    def test_status_has_managers_of_its_own(self, site: KubernetesSite, api: Api) -> None:
        since(site, 1, 22)
        made = unversioned(ok(api.apply("jobs", job()), 201))
        made["status"] = {"active": 1}
        after = ok(api.put("jobs", made, "/status", fieldManager="controller"))
        found = {each["manager"]: each for each in after["metadata"]["managedFields"]}
        assert found["controller"]["subresource"] == "status"
        assert "f:active" in found["controller"]["fieldsV1"]["f:status"]

    # Lists

    def test_lists_are_selected_by_labels(self, api: Api) -> None:
        for name, labels in (("a", {"x": "1"}), ("b", {"x": "2", "y": ""}), ("c", None)):
            api.made("configmaps", config(name, labels))
        for selector, wanted in (
            ("x", ["a", "b"]),
            ("x=1", ["a"]),
            ("x!=1,y", ["b"]),
            ("x in (1,2),!y", ["a"]),
            ("x notin (2),!y", ["a", "c"]),
        ):
            items = ok(api.list("configmaps", labelSelector=selector))["items"]
            found = [each["metadata"]["name"] for each in items]
            assert [name for name in found if len(name) == 1] == wanted, selector
        refused(api.list("configmaps", labelSelector="x in 1"), 400, "BadRequest")

    def test_lists_are_selected_by_some_fields(self, api: Api) -> None:
        api.made("configmaps", config("a"))
        api.made("configmaps", config("b"))
        items = ok(api.list("configmaps", fieldSelector="metadata.name=b"))["items"]
        assert [each["metadata"]["name"] for each in items] == ["b"]
        refused(api.list("configmaps", fieldSelector="data.x=1"), 400, "BadRequest")

    def test_a_list_comes_in_parts_of_one_moment(self, api: Api) -> None:
        for name in "abcde":
            api.made("leases", {"metadata": {"name": name}, "spec": {}})
        first = ok(api.list("leases", limit="2"))
        assert first["metadata"]["remainingItemCount"] == 3
        ok(api.delete("leases", "d"))
        api.made("leases", {"metadata": {"name": "f"}, "spec": {}})
        token = first["metadata"]["continue"]
        rest = ok(api.list("leases", **{"limit": "10", "continue": token}))
        assert [each["metadata"]["name"] for each in rest["items"]] == ["c", "d", "e"]
        assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        assert "continue" not in rest["metadata"]

    def test_a_list_cannot_be_continued_after_compaction(
        self, site: KubernetesSite, api: Api
    ) -> None:
        for name in "abc":
            api.made("leases", {"metadata": {"name": name}, "spec": {}})
        first = ok(api.list("leases", limit="2"))
        ok(api.delete("leases", "a"))
        site.compact()
        token = first["metadata"]["continue"]
        response = api.list("leases", **{"limit": "2", "continue": token})
        refused(response, 410, "Expired")

    def test_items_of_a_list_do_not_repeat_their_kind(self, api: Api) -> None:
        api.made("configmaps", config("a"))
        found = ok(api.list("configmaps"))
        assert found["kind"] == "ConfigMapList"
        assert all("kind" not in each for each in found["items"])

    # Watches

    def test_a_watch_goes_on_from_a_list(self, api: Api) -> None:
        first = api.made("leases", {"metadata": {"name": "a"}, "spec": {}})
        version = ok(api.list("leases"))["metadata"]["resourceVersion"]
        with api.watch("leases", resourceVersion=version) as watch:
            first["spec"]["holderIdentity"] = "me"
            ok(api.put("leases", first))
            ok(api.delete("leases", "a"))
            api.made("leases", {"metadata": {"name": "b"}, "spec": {}})
            events = [watch.next() for _ in range(3)]
        assert [(type_, each["metadata"]["name"]) for type_, each in events] == [
            ("MODIFIED", "a"),
            ("DELETED", "a"),
            ("ADDED", "b"),
        ]
        versions = [int(each["metadata"]["resourceVersion"]) for _, each in events]
        assert versions == sorted(set(versions))

    def test_a_watch_without_a_version_begins_with_what_is_there(self, api: Api) -> None:
        api.made("leases", {"metadata": {"name": "a"}, "spec": {}})
        with api.watch("leases") as watch:
            type_, found = watch.next()
        assert (type_, found["metadata"]["name"]) == ("ADDED", "a")
        assert found["kind"] == "Lease"

    def test_what_no_longer_fits_the_selector_is_deleted_for_the_watch(self, api: Api) -> None:
        lease = {"metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {}}
        made = api.made("leases", lease)
        version = made["metadata"]["resourceVersion"]
        with api.watch("leases", resourceVersion=version, labelSelector="x=1") as watch:
            made["metadata"]["labels"] = {"x": "2"}
            made = ok(api.put("leases", made))
            made["metadata"]["labels"] = {"x": "1"}
            ok(api.put("leases", made))
            events = [watch.next()[0] for _ in range(2)]
        assert events == ["DELETED", "ADDED"]

    def test_a_watch_ends_after_its_time(self, api: Api) -> None:
        version = ok(api.list("leases"))["metadata"]["resourceVersion"]
        with api.watch("leases", resourceVersion=version, timeoutSeconds="1") as watch:
            assert watch.rest() == []

    def test_a_watch_from_a_forgotten_version_is_gone(self, site: KubernetesSite, api: Api) -> None:
        first = api.made("leases", {"metadata": {"name": "a"}, "spec": {}})
        for name in "bc":
            api.made("leases", {"metadata": {"name": name}, "spec": {}})
        site.compact()
        version = first["metadata"]["resourceVersion"]
        with api.watch("leases", resourceVersion=version, timeoutSeconds="5") as watch:
            if watch.response.status_code == 200:
                type_, status = watch.next()
                assert type_ == "ERROR"
            else:
                status = json.loads(watch.response.read())
        assert (status["code"], status["reason"]) in ((410, "Expired"), (410, "Gone"))

    def test_a_dry_run_is_not_seen_by_a_watch(self, api: Api) -> None:
        version = ok(api.list("leases"))["metadata"]["resourceVersion"]
        api.made("leases", {"metadata": {"name": "dry"}, "spec": {}}, dryRun="All")
        with api.watch("leases", resourceVersion=version) as watch:
            api.made("leases", {"metadata": {"name": "wet"}, "spec": {}})
            assert watch.next()[1]["metadata"]["name"] == "wet"

    # Deleting

    def test_deleting_may_ask_for_the_very_object(self, api: Api) -> None:
        made = api.made("configmaps", config(a="1"))
        wrong: Obj = {"preconditions": {"uid": str(uuid.uuid4())}}
        refused(api.delete("configmaps", "settings", wrong), 409, "Conflict")
        right: Obj = {"preconditions": {"uid": made["metadata"]["uid"]}}
        status = ok(api.delete("configmaps", "settings", right))
        assert status["status"] == "Success"
        assert status["details"]["uid"] == made["metadata"]["uid"]
        refused(api.get("configmaps", "settings"), 404, "NotFound")

    def test_a_finalizer_keeps_the_object_until_it_is_gone(self, api: Api) -> None:
        body = config(a="1")
        body["metadata"]["finalizers"] = ["headgate.dev/guard"]
        api.made("configmaps", body)
        waiting = ok(api.delete("configmaps", "settings"))
        assert waiting["metadata"]["deletionTimestamp"]
        waiting = ok(api.get("configmaps", "settings"))
        again = api.create("configmaps", config(a="2"))
        refused(again, 409, "AlreadyExists")
        waiting["metadata"]["finalizers"] = []
        ok(api.put("configmaps", waiting))
        refused(api.get("configmaps", "settings"), 404, "NotFound")

    @pytest.mark.parametrize(
        ("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")]
    )
    def test_a_policy_is_a_finalizer_for_the_collector(
        self, api: Api, policy: str, finalizer: str
    ) -> None:
        body = job()
        body["metadata"]["finalizers"] = ["headgate.dev/guard"]
        api.made("jobs", body)
        waiting = ok(api.delete("jobs", "train", {"propagationPolicy": policy}))
        assert finalizer in waiting["metadata"]["finalizers"]
        patch = {"metadata": {"finalizers": None}}
        ok(api.patch("jobs", "train", MERGE_PATCH, patch))

    def test_a_job_that_is_deleted_without_a_policy_orphans_its_pods(self, api: Api) -> None:
        body = job()
        body["metadata"]["finalizers"] = ["headgate.dev/guard"]
        api.made("jobs", body)
        waiting = ok(api.delete("jobs", "train"))
        assert "orphan" in waiting["metadata"]["finalizers"]
        ok(api.patch("jobs", "train", MERGE_PATCH, {"metadata": {"finalizers": None}}))

    def test_many_are_deleted_at_once(self, api: Api) -> None:
        for name, labels in (("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "2"})):
            api.made("leases", {"metadata": {"name": name, "labels": labels}, "spec": {}})
        path = api.path("leases")
        ok(api.http.delete(path, params={"labelSelector": "x=1"}))
        until = time.monotonic() + PATIENCE
        while len(left := ok(api.list("leases"))["items"]) > 1:
            assert time.monotonic() < until
        assert [each["metadata"]["name"] for each in left] == ["c"]

    # Others

    def test_a_secret_may_be_written_as_text(self, api: Api) -> None:
        made = api.made("secrets", {"metadata": {"name": "key"}, "stringData": {"token": "abc"}})
        assert made["data"] == {"token": "YWJj"}
        assert made["type"] == "Opaque"
        bad = {"metadata": {"name": "bad"}, "data": {"token": "not base64!"}}
        refused(api.create("secrets", bad), 400, "BadRequest")

    def test_a_nameless_caller_is_refused(self, site: KubernetesSite) -> None:
        with site.client() as http:
            http.headers["Authorization"] = "Bearer wrong"
            refused(http.get("/api/v1/namespaces"), 401, "Unauthorized")

    def test_an_administrator_may_do_everything(self, site: KubernetesSite, api: Api) -> None:
        attributes = {"verb": "create", "group": "batch", "resource": "jobs",
                      "namespace": api.namespace}  # fmt: skip
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                  "spec": {"resourceAttributes": attributes}}  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        assert ok(api.http.post(path, json=review), 201)["status"]["allowed"] is True

    def test_a_quota_is_kept(self, api: Api) -> None:
        hard = {"count/configmaps": "2"}
        quota = {"metadata": {"name": "small"}, "spec": {"hard": hard}}
        made = unversioned(api.made("resourcequotas", quota))
        made["status"] = {"hard": hard, "used": {"count/configmaps": "2"}}
        ok(api.put("resourcequotas", made, "/status"))
        there = len(ok(api.list("configmaps"))["items"])
        until = time.monotonic() + PATIENCE
        for number in range(there, 8):
            response = api.create("configmaps", config(f"c{number}"))
            if response.status_code == 403 or time.monotonic() > until:
                break
        status = refused(response, 403, "Forbidden")
        assert "exceeded quota: small, requested: count/configmaps=1" in status["message"]

    def test_a_custom_kind_is_defined_and_served(self, site: KubernetesSite, api: Api) -> None:
        group = f"g{uuid.uuid4().hex[:8]}.headgate.dev"
        fields = {"weight": {"type": "integer", "maximum": 100}}
        schema = {"type": "object", "properties": {
            "spec": {"type": "object", "properties": fields},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        }}  # fmt: skip
        version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                   "schema": {"openAPIV3Schema": schema}}  # fmt: skip
        names = {"kind": "Split", "plural": "splits", "singular": "split", "listKind": "SplitList"}
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"splits.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
        root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        ok(api.http.post(root, json=definition), 201)
        path = api.path("splits", group=f"{group}/v1")
        until = time.monotonic() + PATIENCE
        while api.http.get(path).status_code == 404:
            assert time.monotonic() < until
        body = {"apiVersion": f"{group}/v1", "kind": "Split", "metadata": {"name": "a"},
                "spec": {"weight": 10, "other": 1}}  # fmt: skip
        made = ok(api.http.post(path, json=body), 201)
        assert made["spec"] == {"weight": 10}
        assert made["metadata"]["generation"] == 1
        body["spec"] = {"weight": 200}
        body["metadata"] = {"name": "b"}
        status = refused(api.http.post(path, json=body), 422, "Invalid")
        assert causes(status)[0][1] == "spec.weight"
        headers = {"Content-Type": STRATEGIC_PATCH}
        response = api.http.patch(f"{path}/a", content="{}", headers=headers)
        refused(response, 415, "UnsupportedMediaType")
        made["metadata"].pop("resourceVersion")
        refused(api.http.put(f"{path}/a", json=made), 422, "Invalid")
        ok(api.http.delete(f"{root}/splits.{group}"))
