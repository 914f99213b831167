"""The contract of Kubernetes API servers: patches and server-side apply."""

from tests.contracts.kubernetes_caller import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    ApiCaller,
    KubernetesSite,
    config,
    deployment,
    job,
    managers,
    ok,
    refused,
    since,
    unversioned,
)


class PatchingContract:
    """Patches and server-side apply."""

    # Patches

    def test_a_merge_patch(self, api: ApiCaller) -> None:
        api.made("configmaps", config(a="1", b="2"))
        patch = {"data": {"a": None, "c": "3"}}
        after = ok(api.patch("configmaps", "settings", MERGE_PATCH, patch))
        assert after["data"] == {"b": "2", "c": "3"}

    def test_a_json_patch_and_its_test(self, api: ApiCaller) -> None:
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

    def test_a_json_patch_whose_test_fails_changes_nothing(self, api: ApiCaller) -> None:
        api.made("configmaps", config(a="1"))
        steps = [
            {"op": "replace", "path": "/data/a", "value": "2"},
            {"op": "test", "path": "/data/a", "value": "1"},
        ]
        refused(api.patch("configmaps", "settings", JSON_PATCH, steps), 422, "Invalid")
        assert ok(api.get("configmaps", "settings"))["data"] == {"a": "1"}

    def test_a_strategic_patch_merges_lists_by_their_key(self, api: ApiCaller) -> None:
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

    def test_a_patch_may_ask_for_the_version_that_it_saw(self, api: ApiCaller) -> None:
        made = api.made("configmaps", config(a="1"))
        version = made["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {"a": "2"}}
        ok(api.patch("configmaps", "settings", MERGE_PATCH, patch))
        refused(api.patch("configmaps", "settings", MERGE_PATCH, patch), 409, "Conflict")

    def test_a_patch_of_no_known_kind_is_refused(self, api: ApiCaller) -> None:
        api.made("configmaps", config(a="1"))
        response = api.patch("configmaps", "settings", "application/json", {})
        refused(response, 415, "UnsupportedMediaType")

    # Server-side apply

    def test_apply_creates_and_changes(self, api: ApiCaller) -> None:
        made = ok(api.apply("configmaps", config(a="1")), 201)
        assert managers(made) == {("headgate", "Apply"): {"f:data": {"f:a": {}}}}
        again = ok(api.apply("configmaps", config(a="1")))
        assert again["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        assert ok(api.apply("configmaps", config(a="2")))["data"] == {"a": "2"}

    def test_apply_needs_a_manager(self, api: ApiCaller) -> None:
        response = api.patch("configmaps", "settings", APPLY_PATCH, config(a="1"))
        refused(response, 422, "Invalid")

    def test_apply_removes_what_is_no_longer_applied(self, api: ApiCaller) -> None:
        ok(api.apply("configmaps", config(a="1", b="2")), 201)
        ok(api.patch("configmaps", "settings", MERGE_PATCH, {"data": {"c": "3"}}))
        assert ok(api.apply("configmaps", config(a="1")))["data"] == {"a": "1", "c": "3"}

    def test_apply_over_anothers_field_is_a_conflict_unless_forced(self, api: ApiCaller) -> None:
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

    def test_two_who_apply_the_same_value_share_the_field(self, api: ApiCaller) -> None:
        ok(api.apply("configmaps", config(a="1")), 201)
        ok(api.apply("configmaps", config(a="1"), "other"))
        assert ok(api.apply("configmaps", config(b="2")))["data"] == {"a": "1", "b": "2"}
        assert ok(api.apply("configmaps", config(c="3"), "other"))["data"] == {"b": "2", "c": "3"}

    def test_items_of_a_list_are_managed_by_their_key(self, api: ApiCaller) -> None:
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

    def test_a_plain_update_takes_the_fields_that_it_changes(self, api: ApiCaller) -> None:
        made = ok(api.apply("configmaps", config(a="1", b="2")), 201)
        made["data"]["a"] = "9"
        after = ok(api.put("configmaps", made, fieldManager="hand"))
        assert managers(after)["hand", "Update"] == {"f:data": {"f:a": {}}}
        assert managers(after)["headgate", "Apply"] == {"f:data": {"f:b": {}}}
        status = refused(api.apply("configmaps", config(a="1", b="2")), 409, "Conflict")
        assert status["details"]["causes"][0]["field"] == ".data.a"
        assert status["details"]["causes"][0]["message"].startswith('conflict with "hand" using v1')

    def test_a_dry_apply_tells_of_conflicts_and_changes_nothing(self, api: ApiCaller) -> None:
        ok(api.apply("configmaps", config(a="1")), 201)
        response = api.apply("configmaps", config(a="2"), "other", dryRun="All")
        refused(response, 409, "Conflict")
        assert ok(api.apply("configmaps", config(a="2"), dryRun="All"))["data"] == {"a": "2"}
        assert ok(api.get("configmaps", "settings"))["data"] == {"a": "1"}

    def test_status_has_managers_of_its_own(self, site: KubernetesSite, api: ApiCaller) -> None:
        since(site, 1, 22)
        made = unversioned(ok(api.apply("jobs", job()), 201))
        made["status"] = {"active": 1}
        after = ok(api.put("jobs", made, "/status", fieldManager="controller"))
        found = {each["manager"]: each for each in after["metadata"]["managedFields"]}
        assert found["controller"]["subresource"] == "status"
        assert "f:active" in found["controller"]["fieldsV1"]["f:status"]
