"""The contract of Kubernetes API servers: creating, validating and updating."""

import pytest

from tests.contracts.kubernetes_caller import (
    MERGE_PATCH,
    ApiCaller,
    KubernetesSite,
    Obj,
    causes,
    config,
    deployment,
    job,
    ok,
    refused,
    since,
    unversioned,
)


class WritingContract:
    """Creating, validating and updating."""

    # Creating and reading

    def test_a_new_object_gets_an_identity_and_defaults(self, api: ApiCaller) -> None:
        made = api.made("jobs", job())
        assert made["metadata"]["uid"]
        assert made["metadata"]["resourceVersion"]
        assert made["metadata"]["creationTimestamp"].endswith("Z")
        assert made["spec"]["parallelism"] == made["spec"]["completions"] == 1
        pod = made["spec"]["template"]
        assert pod["metadata"]["labels"]["job-name"] == "train"
        assert made["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["terminationGracePeriodSeconds"] == 30
        assert pod["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"
        found = ok(api.get("jobs", "train"))
        assert (found["metadata"]["uid"], found["spec"]) == (made["metadata"]["uid"], made["spec"])

    def test_what_a_limit_is_set_for_is_requested(self, api: ApiCaller) -> None:
        body = job()
        main = body["spec"]["template"]["spec"]["containers"][0]
        main["resources"] = {"limits": {"nvidia.com/gpu": "1", "memory": "2048Mi"}}
        made = api.made("jobs", body)
        resources = made["spec"]["template"]["spec"]["containers"][0]["resources"]
        assert resources["limits"]["nvidia.com/gpu"] == "1"
        assert resources["limits"]["memory"] in ("2Gi", "2048Mi")

    def test_a_second_one_of_the_name_is_refused(self, api: ApiCaller) -> None:
        api.made("configmaps", config(a="1"))
        body = refused(api.create("configmaps", config(a="2")), 409, "AlreadyExists")
        assert body["details"] == {"name": "settings", "kind": "configmaps"}
        assert body["message"] == 'configmaps "settings" already exists'

    def test_what_is_not_there_is_not_found(self, api: ApiCaller) -> None:
        body = refused(api.get("jobs", "gone"), 404, "NotFound")
        assert body["details"] == {"name": "gone", "group": "batch", "kind": "jobs"}
        assert body["message"] == 'jobs.batch "gone" not found'
        refused(api.delete("jobs", "gone"), 404, "NotFound")
        gone = {**config(), "metadata": {"name": "gone"}}
        refused(api.patch("configmaps", "gone", MERGE_PATCH, gone), 404, "NotFound")

    def test_nothing_is_made_in_a_namespace_that_is_not_there(self, site: KubernetesSite) -> None:
        with site.client() as http:
            body = refused(
                ApiCaller(http, "nowhere").create("configmaps", config()), 404, "NotFound"
            )
        assert body["details"] == {"name": "nowhere", "kind": "namespaces"}

    def test_a_name_may_be_drawn(self, api: ApiCaller) -> None:
        body = {"metadata": {"generateName": "drawn-"}}
        names = {api.made("configmaps", body)["metadata"]["name"] for _ in range(3)}
        assert len(names) == 3
        assert all(name.startswith("drawn-") and len(name) == 11 for name in names)

    def test_a_dry_run_answers_as_if_and_keeps_nothing(self, api: ApiCaller) -> None:
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
    def test_a_bad_pod_is_told_by_field(self, api: ApiCaller, change: Obj, where: str) -> None:
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
        self, api: ApiCaller, change: Obj, reason: str, part: str
    ) -> None:
        body = job()
        body["spec"]["template"]["spec"]["containers"][0].update(change)
        status = refused(api.create("jobs", body), 422, "Invalid")
        assert (reason, f"spec.template.spec.containers[0].{part}") in causes(status)

    def test_a_quantity_that_is_none_is_refused(self, api: ApiCaller) -> None:
        body = job()
        main = body["spec"]["template"]["spec"]["containers"][0]
        main["resources"] = {"limits": {"memory": "1 gigabyte"}}
        assert api.create("jobs", body).status_code in (400, 422)

    @pytest.mark.parametrize(
        ("labels", "field"),
        [({"a": "no spaces"}, "metadata.labels"), ({"/x": "1"}, "metadata.labels")],
        ids=["value", "key"],
    )
    def test_a_bad_label_is_refused(self, api: ApiCaller, labels: Obj, field: str) -> None:
        status = refused(api.create("configmaps", config(labels=labels)), 422, "Invalid")
        assert causes(status)[0] == ("FieldValueInvalid", field)

    def test_a_bad_name_is_refused(self, api: ApiCaller) -> None:
        status = refused(api.create("configmaps", config("Upper")), 422, "Invalid")
        assert causes(status) == [("FieldValueInvalid", "metadata.name")]

    def test_a_value_of_another_type_is_a_bad_request(self, api: ApiCaller) -> None:
        refused(api.create("jobs", job(backoffLimit="none")), 400, "BadRequest")

    def test_an_unknown_field_is_dropped(self, api: ApiCaller) -> None:
        assert "replicas" not in api.made("jobs", job(replicas=3))["spec"]

    def test_an_unknown_field_is_warned_of(self, site: KubernetesSite, api: ApiCaller) -> None:
        since(site, 1, 25)
        response = api.create("jobs", job(replicas=3))
        assert 'unknown field "spec.replicas"' in response.headers["warning"]
        strict = api.create("jobs", job("other", replicas=3), fieldValidation="Strict")
        assert 'unknown field "spec.replicas"' in refused(strict, 400, "BadRequest")["message"]

    # Updating

    def test_a_stale_update_is_a_conflict(self, api: ApiCaller) -> None:
        first = api.made("configmaps", config(a="1"))
        second = ok(api.put("configmaps", {**first, "data": {"a": "2"}}))
        assert int(second["metadata"]["resourceVersion"]) > int(
            first["metadata"]["resourceVersion"]
        )
        status = refused(api.put("configmaps", {**first, "data": {"a": "3"}}), 409, "Conflict")
        assert "the object has been modified" in status["message"]
        assert status["details"] == {"name": "settings", "kind": "configmaps"}

    def test_an_update_without_a_version_wins(self, api: ApiCaller) -> None:
        api.made("configmaps", config(a="1"))
        assert ok(api.put("configmaps", config(a="2")))["data"] == {"a": "2"}

    def test_an_update_that_changes_nothing_is_no_write(self, api: ApiCaller) -> None:
        first = api.made("configmaps", config(a="1"))
        again = ok(api.put("configmaps", first))
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_an_update_of_another_object_of_the_name_is_a_conflict(self, api: ApiCaller) -> None:
        first = api.made("configmaps", config(a="1"))
        ok(api.delete("configmaps", "settings"))
        api.made("configmaps", config(a="1"))
        first["metadata"].pop("resourceVersion")
        refused(api.put("configmaps", first), 409, "Conflict")

    def test_the_generation_counts_changes_of_the_spec_only(self, api: ApiCaller) -> None:
        made = unversioned(api.made("deployments", deployment()))
        made["metadata"]["labels"] = {"team": "ml"}
        made = unversioned(ok(api.put("deployments", made)))
        assert made["metadata"]["generation"] == 1
        made["spec"]["replicas"] = 2
        assert ok(api.put("deployments", made))["metadata"]["generation"] == 2

    def test_jobs_have_generations_too(self, site: KubernetesSite, api: ApiCaller) -> None:
        since(site, 1, 22)
        made = unversioned(api.made("jobs", job()))
        assert made["metadata"]["generation"] == 1
        made["spec"]["parallelism"] = 2
        assert ok(api.put("jobs", made))["metadata"]["generation"] == 2

    def test_status_and_spec_are_written_apart(self, api: ApiCaller) -> None:
        made = unversioned(api.made("jobs", job()))
        made["status"] = {"failed": 7}
        assert "failed" not in ok(api.put("jobs", made)).get("status", {})
        made["spec"]["parallelism"] = 5
        after = ok(api.put("jobs", made, "/status"))
        assert after["status"]["failed"] == 7
        assert after["spec"]["parallelism"] == 1

    def test_the_template_of_a_job_cannot_be_changed(self, api: ApiCaller) -> None:
        made = unversioned(api.made("jobs", job()))
        made["spec"]["template"]["spec"]["containers"][0]["image"] = "trainer:2"
        status = refused(api.put("jobs", made), 422, "Invalid")
        assert causes(status) == [("FieldValueInvalid", "spec.template")]

    def test_a_lease_needs_its_version(self, api: ApiCaller) -> None:
        lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a"}}
        made = api.made("leases", lease)
        refused(api.put("leases", lease), 422, "Invalid")
        made["spec"]["holderIdentity"] = "b"
        ok(api.put("leases", made))
        refused(api.put("leases", made), 409, "Conflict")
