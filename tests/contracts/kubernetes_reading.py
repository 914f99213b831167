"""The contract of Kubernetes API servers: lists and watches."""

from tests.contracts.kubernetes_caller import (
    ApiCaller,
    KubernetesSite,
    config,
    ok,
    refused,
)


class ReadingContract:
    """Lists and watches."""

    # Lists

    def test_lists_are_selected_by_labels(self, api: ApiCaller) -> None:
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

    def test_lists_are_selected_by_some_fields(self, api: ApiCaller) -> None:
        api.made("configmaps", config("a"))
        api.made("configmaps", config("b"))
        items = ok(api.list("configmaps", fieldSelector="metadata.name=b"))["items"]
        assert [each["metadata"]["name"] for each in items] == ["b"]
        refused(api.list("configmaps", fieldSelector="data.x=1"), 400, "BadRequest")

    def test_a_list_comes_in_parts_of_one_moment(self, api: ApiCaller) -> None:
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
        self, site: KubernetesSite, api: ApiCaller
    ) -> None:
        for name in "abc":
            api.made("leases", {"metadata": {"name": name}, "spec": {}})
        first = ok(api.list("leases", limit="2"))
        ok(api.delete("leases", "a"))
        site.compact()
        token = first["metadata"]["continue"]
        response = api.list("leases", **{"limit": "2", "continue": token})
        status = refused(response, 410, "Expired")
        token = status["metadata"]["continue"]  # for the rest as it is now
        rest = ok(api.list("leases", **{"limit": "2", "continue": token}))
        assert [each["metadata"]["name"] for each in rest["items"]] == ["c"]

    def test_items_of_a_list_do_not_repeat_their_kind(self, api: ApiCaller) -> None:
        api.made("configmaps", config("a"))
        found = ok(api.list("configmaps"))
        assert found["kind"] == "ConfigMapList"
        assert all("kind" not in each for each in found["items"])

    # Watches

    def test_a_watch_goes_on_from_a_list(self, api: ApiCaller) -> None:
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

    def test_a_watch_without_a_version_begins_with_what_is_there(self, api: ApiCaller) -> None:
        api.made("leases", {"metadata": {"name": "a"}, "spec": {}})
        with api.watch("leases") as watch:
            type_, found = watch.next()
        assert (type_, found["metadata"]["name"]) == ("ADDED", "a")
        assert found["kind"] == "Lease"

    def test_what_no_longer_fits_the_selector_is_deleted_for_the_watch(
        self, api: ApiCaller
    ) -> None:
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

    def test_a_watch_ends_after_its_time(self, api: ApiCaller) -> None:
        version = ok(api.list("leases"))["metadata"]["resourceVersion"]
        with api.watch("leases", resourceVersion=version, timeoutSeconds="1") as watch:
            assert watch.rest() == []

    def test_a_watch_from_a_forgotten_version_is_gone(
        self, site: KubernetesSite, api: ApiCaller
    ) -> None:
        """Of events, as the API server has the latest versions of other kinds in a cache."""
        about = {"kind": "Pod", "namespace": api.namespace, "name": "x"}
        first, *_ = [
            api.made("events", {"metadata": {"name": name}, "involvedObject": about})
            for name in "abc"
        ]
        site.compact()
        version = first["metadata"]["resourceVersion"]
        with api.watch("events", resourceVersion=version, timeoutSeconds="5") as watch:
            assert watch.response.status_code == 200
            type_, status = watch.next()
        assert (type_, status["code"], status["reason"]) == ("ERROR", 410, "Expired")

    def test_a_dry_run_is_not_seen_by_a_watch(self, api: ApiCaller) -> None:
        version = ok(api.list("leases"))["metadata"]["resourceVersion"]
        api.made("leases", {"metadata": {"name": "dry"}, "spec": {}}, dryRun="All")
        with api.watch("leases", resourceVersion=version) as watch:
            api.made("leases", {"metadata": {"name": "wet"}, "spec": {}})
            assert watch.next()[1]["metadata"]["name"] == "wet"
