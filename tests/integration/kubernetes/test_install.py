"""What the chart installs, on a real API server: accepted to the last field; its role suffices."""

import base64
import json
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from controller.config.settings import Settings
from controller.doctor.cluster import examine_cluster
from tests.deploy.chart import Manifest, manifests
from tests.integration.kubernetes.scene import Scene, until

pytestmark = pytest.mark.kubernetes

YOUNGER: Final = "policy/v1"
"""Served since 1.21, and this server is 1.20; the chart asks for 1.25."""


def plural(kind: str) -> str:
    return f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"


def apply(http: httpx.Client, part: Manifest) -> Any:
    """By server-side apply, which refuses a field that the server does not know."""
    group, about = part["apiVersion"], part["metadata"]
    place = f"/namespaces/{about['namespace']}" if "namespace" in about else ""
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    answer = http.patch(
        f"{root}{place}/{plural(part['kind'])}/{about['name']}",
        params={"fieldManager": "helm"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(part),
    )
    assert answer.status_code in (200, 201), (part["kind"], answer.text)
    return answer.json()


def install(http: httpx.Client, scene: Scene, **more: Any) -> str:
    """Install the chart in the scene; returns the namespace of the steps."""
    steps = f"{scene.name}-steps"
    values = {
        "settings": {
            "repositories": [{"name": "flights", "url": "flights.git"}],
            "artifacts": "s3://company-ml/headgate",
        },
        "steps": {"namespace": steps},
        **more,
    }
    for part in sorted(manifests(values, scene.name), key=lambda one: one["kind"] != "Namespace"):
        if part["apiVersion"] != YOUNGER:
            apply(http, part)
    return steps


def token(http: httpx.Client, namespace: str) -> str:
    """The token of the controller's service account, which this server puts into a Secret."""

    def made() -> str | None:
        for secret in http.get(f"/api/v1/namespaces/{namespace}/secrets").json()["items"]:
            if secret["metadata"]["name"].startswith("headgate-token-"):
                return base64.b64decode(secret["data"]["token"]).decode()
        return None

    return until(made)


def sign_in(scene: Scene, secret: str, path: Path) -> None:
    """Write a kubeconfig with that token."""
    config = json.loads(Path(scene.kubernetes.kubeconfig).read_text())
    config["users"][0]["user"] = {"token": secret}
    path.write_text(json.dumps(config))


async def findings(
    scene: Scene, http: httpx.Client, folder: Path, **settings: Any
) -> dict[str, str]:
    """What doctor finds as the controller's service account: states by what they are about."""
    sign_in(scene, token(http, scene.name), folder / "kubeconfig")
    whole = Settings.model_validate(
        {
            "repositories": [{"name": "flights", "url": "flights.git"}],
            "kubernetes": {"kubeconfig": "kubeconfig", **settings},
        }
    )
    return {one.what: one.state for one in [o async for o in examine_cluster(whole, folder, [])]}


async def test_with_the_charts_role_doctor_is_content(
    scene: Scene, http: httpx.Client, tmp_path: Path
) -> None:
    steps = install(http, scene)
    assert await findings(scene, http, tmp_path, namespace=steps) == {
        "cluster": "ok",
        f"cluster access {steps}": "ok",
        f"cluster quotas {steps}": "ok",
    }


async def test_the_role_is_of_no_use_elsewhere_and_kueue_is_missed(
    scene: Scene, http: httpx.Client, tmp_path: Path
) -> None:
    install(http, scene)
    queued = {"profiles": {"default": {"queue": "research"}}}
    assert await findings(scene, http, tmp_path, namespace=scene.name, **queued) == {
        "cluster": "ok",
        f"cluster access {scene.name}": "error",
        f"cluster quotas {scene.name}": "warning",
        "kueue": "error",
    }


@pytest.mark.parametrize(
    "more",
    [
        {"secretName": "all", "postgresql": {"enabled": True}, "replicas": 2},
        {"networkPolicy": {"egress": [{"ports": [{"port": 443}]}]}, "steps": {"enabled": False}},
    ],
    ids=["PostgreSQL", "egress"],
)
def test_other_values_are_accepted_too(
    scene: Scene, http: httpx.Client, more: dict[str, Any]
) -> None:
    install(http, scene, **more)
    kind = "deployments" if "postgresql" in more else "statefulsets"
    path = f"/apis/apps/v1/namespaces/{scene.name}/{kind}/headgate"
    assert http.get(path).json()["spec"]["replicas"] == more.get("replicas", 1)
