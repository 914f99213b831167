"""How the real API server answers: errors and server-side apply; see README.md beside this."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene
from tests.servers.kubernetes.handle import Kubernetes

if TYPE_CHECKING:
    from lightkube.resources.core_v1 import ConfigMap

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def path(scene: Scene) -> str:
    """Where the ConfigMaps of the namespace are."""
    return f"/api/v1/namespaces/{scene.name}/configmaps"


def _settings(scene: Scene, value: str) -> "ConfigMap":
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.core_v1 import ConfigMap

    named = ObjectMeta(name="settings", namespace=scene.name)
    return ConfigMap(metadata=named, data={"depth": value})


def _refusal(call: Callable[[], object]) -> Any:
    """The Status by which something is refused."""
    from lightkube import ApiError

    with pytest.raises(ApiError) as caught:
        call()
    return caught.value.status


def test_what_is_not_there_is_named(scene: Scene) -> None:
    from lightkube.resources.core_v1 import ConfigMap

    said = _refusal(lambda: scene.client.get(ConfigMap, "none", namespace=scene.name))

    assert (said.code, said.reason, said.message) == (
        404, "NotFound", 'configmaps "none" not found',
    )  # fmt: skip
    assert (said.details.name, said.details.kind) == ("none", "configmaps")


def test_a_missing_group_is_answered_without_a_status(http: httpx.Client) -> None:
    """So no client can make its own error of it."""
    answer = http.get("/apis/kueue.x-k8s.io/v1beta1/workloads")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_second_of_a_name_is_refused(scene: Scene) -> None:
    scene.client.create(_settings(scene, "1"))

    said = _refusal(lambda: scene.client.create(_settings(scene, "1")))

    assert (said.code, said.reason) == (409, "AlreadyExists")


def test_a_stale_write_is_refused(scene: Scene) -> None:
    old = scene.client.create(_settings(scene, "1"))
    new = scene.client.get(type(old), "settings", namespace=scene.name)
    new.data = {"depth": "2"}
    scene.client.replace(new)
    old.data = {"depth": "3"}

    said = _refusal(lambda: scene.client.replace(old))

    assert (said.code, said.reason) == (409, "Conflict")
    assert said.details.causes is None  # by which it differs from a conflict of managers


def test_a_write_that_changes_nothing_is_no_new_version(scene: Scene) -> None:
    old = scene.client.create(_settings(scene, "1"))

    same = scene.client.replace(old)

    assert old.metadata
    assert same.metadata
    assert same.metadata.resourceVersion == old.metadata.resourceVersion


def test_an_invalid_object_is_refused_with_each_field(scene: Scene) -> None:
    said = _refusal(lambda: scene.job("true", backoffLimit=-1, parallelism=-1))

    assert (said.code, said.reason, said.details.kind) == (422, "Invalid", "Job")
    fields = {each.field: each.reason for each in said.details.causes}
    assert fields == {
        "spec.parallelism": "FieldValueInvalid",
        "spec.backoffLimit": "FieldValueInvalid",
    }


def test_who_may_not_is_told_what(scene: Scene, kubernetes: Kubernetes, path: str) -> None:
    with kubernetes.http(kubernetes.stranger) as stranger:
        answer = stranger.get(path)

    said = answer.json()
    assert (answer.status_code, said["reason"]) == (403, "Forbidden")
    assert 'User "stranger" cannot list resource "configmaps"' in said["message"]


class TestServerSideApply:
    """Two managers of one object."""

    @pytest.fixture
    def applied(self, scene: Scene) -> Callable[..., "ConfigMap"]:
        """Applies a value as a manager."""

        def apply(value: str, manager: str, *, force: bool = False) -> "ConfigMap":
            made = _settings(scene, value)
            return scene.client.apply(made, field_manager=manager, force=force)

        return apply

    def test_the_same_again_changes_nothing(self, applied: Callable[..., "ConfigMap"]) -> None:
        first, second = applied("1", "headgate"), applied("1", "headgate")

        assert first.metadata
        assert first.metadata == second.metadata

    def test_a_field_of_another_manager_is_a_conflict(
        self, applied: Callable[..., "ConfigMap"]
    ) -> None:
        applied("1", "headgate")

        said = _refusal(lambda: applied("2", "somebody"))

        assert (said.code, said.reason) == (409, "Conflict")
        assert said.message == 'Apply failed with 1 conflict: conflict with "headgate": .data.depth'
        (cause,) = said.details.causes
        assert (cause.reason, cause.field) == ("FieldManagerConflict", ".data.depth")

    def test_the_same_value_makes_both_its_managers(
        self, applied: Callable[..., "ConfigMap"]
    ) -> None:
        applied("1", "headgate")

        both = applied("1", "somebody")

        assert both.metadata
        managers = [each.manager for each in both.metadata.managedFields or ()]
        assert sorted(str(each) for each in managers) == ["headgate", "somebody"]

    def test_force_takes_the_field(self, applied: Callable[..., "ConfigMap"]) -> None:
        applied("1", "headgate")

        taken = applied("2", "somebody", force=True)

        assert taken.data == {"depth": "2"}
        assert _refusal(lambda: applied("1", "headgate")).code == 409
