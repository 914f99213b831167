"""The contract of Kubernetes API servers: deleting, rights, quotas and custom kinds."""

import time
import uuid

import pytest

from tests.contracts.kubernetes_caller import (
    MERGE_PATCH,
    PATIENCE,
    STRATEGIC_PATCH,
    ApiCaller,
    KubernetesSite,
    Obj,
    causes,
    config,
    job,
    ok,
    refused,
    unversioned,
)


class DeletingContract:
    """Deleting, rights, quotas and custom kinds."""

    # Deleting

    def test_deleting_may_ask_for_the_very_object(self, api: ApiCaller) -> None:
        made = api.made("configmaps", config(a="1"))
        wrong: Obj = {"preconditions": {"uid": str(uuid.uuid4())}}
        refused(api.delete("configmaps", "settings", wrong), 409, "Conflict")
        right: Obj = {"preconditions": {"uid": made["metadata"]["uid"]}}
        status = ok(api.delete("configmaps", "settings", right))
        assert status["status"] == "Success"
        assert status["details"]["uid"] == made["metadata"]["uid"]
        refused(api.get("configmaps", "settings"), 404, "NotFound")

    def test_a_finalizer_keeps_the_object_until_it_is_gone(self, api: ApiCaller) -> None:
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
        self, api: ApiCaller, policy: str, finalizer: str
    ) -> None:
        body = job()
        body["metadata"]["finalizers"] = ["headgate.dev/guard"]
        api.made("jobs", body)
        waiting = ok(api.delete("jobs", "train", {"propagationPolicy": policy}))
        assert finalizer in waiting["metadata"]["finalizers"]
        patch = {"metadata": {"finalizers": None}}
        ok(api.patch("jobs", "train", MERGE_PATCH, patch))

    def test_a_job_that_is_deleted_without_a_policy_orphans_its_pods(self, api: ApiCaller) -> None:
        body = job()
        body["metadata"]["finalizers"] = ["headgate.dev/guard"]
        api.made("jobs", body)
        waiting = ok(api.delete("jobs", "train"))
        assert "orphan" in waiting["metadata"]["finalizers"]
        ok(api.patch("jobs", "train", MERGE_PATCH, {"metadata": {"finalizers": None}}))

    def test_many_are_deleted_at_once(self, api: ApiCaller) -> None:
        for name, labels in (("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "2"})):
            api.made("leases", {"metadata": {"name": name, "labels": labels}, "spec": {}})
        path = api.path("leases")
        ok(api.http.delete(path, params={"labelSelector": "x=1"}))
        until = time.monotonic() + PATIENCE
        while len(left := ok(api.list("leases"))["items"]) > 1:
            assert time.monotonic() < until
        assert [each["metadata"]["name"] for each in left] == ["c"]

    # Others

    def test_a_secret_may_be_written_as_text(self, api: ApiCaller) -> None:
        made = api.made("secrets", {"metadata": {"name": "key"}, "stringData": {"token": "abc"}})
        assert made["data"] == {"token": "YWJj"}
        assert made["type"] == "Opaque"
        bad = {"metadata": {"name": "bad"}, "data": {"token": "not base64!"}}
        refused(api.create("secrets", bad), 400, "BadRequest")

    def test_an_unknown_token_is_refused(self, site: KubernetesSite) -> None:
        with site.client() as http:
            http.headers["Authorization"] = "Bearer wrong"
            refused(http.get("/api/v1/namespaces"), 401, "Unauthorized")

    def test_who_has_no_token_is_anonymous(self, site: KubernetesSite) -> None:
        with site.client() as http:
            del http.headers["Authorization"]
            status = refused(http.get("/api/v1/namespaces"), 403, "Forbidden")
        assert 'User "system:anonymous" cannot list resource "namespaces"' in status["message"]

    def test_a_group_that_is_not_served_is_no_status(self, site: KubernetesSite) -> None:
        with site.client() as http:
            response = http.get("/apis/none.headgate.dev/v1/things")
            assert (response.status_code, response.text) == (404, "404 page not found\n")
            status = refused(http.get("/apis/batch/v1/namespaces/default/things"), 404, "NotFound")
        assert status["message"] == "the server could not find the requested resource"

    def test_an_administrator_may_do_everything(self, api: ApiCaller) -> None:
        attributes = {"verb": "create", "group": "batch", "resource": "jobs",
                      "namespace": api.namespace}  # fmt: skip
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                  "spec": {"resourceAttributes": attributes}}  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        assert ok(api.http.post(path, json=review), 201)["status"]["allowed"] is True

    def test_a_quota_is_kept(self, api: ApiCaller) -> None:
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

    def test_a_custom_kind_is_defined_and_served(self, api: ApiCaller) -> None:
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
