"""The chart: rendered by Helm, checked against Kubernetes' own schemas, read as settings."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import helm_python
import kubernetes_validate
import pytest

from controller.config.settings_file import load_settings
from controller.executors.kubernetes.access import RUNTIMES
from deployers.kubernetes.access import KSERVE, SERVING
from tests.deploy.chart import (
    CHART,
    GIVEN,
    MANIFESTS,
    README,
    SCHEMA,
    Manifest,
    documents,
    manifests,
    plain,
    readme,
    rendered,
    schema,
)

FLIGHTS: dict[str, Any] = {
    "settings": {
        "repositories": [{"name": "flights", "url": "https://git.example/team/flights.git"}],
        "artifacts": "s3://company-ml/headgate",
    }
}
"""The least that has to be said."""
ON_POSTGRESQL = {"secretName": "headgate-secrets", "postgresql": {"enabled": True}}
EVERYTHING = {
    "image": {
        "repository": "registry.example/headgate",
        "digest": f"sha256:{'0' * 64}",
        "pullPolicy": "Always",
        "pullSecrets": ["registry"],
    },
    **ON_POSTGRESQL,
    "replicas": 3,
    "settings": {
        **FLIGHTS["settings"],
        "github": {
            "app": {"id": 1234567, "private_key": "GITHUB_KEY"},
            "webhook": {"secret": "WEBHOOK_SECRET"},
        },
        "kubernetes": {"profiles": {"default": {"queue": "research"}}, "network_policy": False},
    },
    "steps": {"namespace": "research-steps", "queues": True, "training": True},
    "serving": {"enabled": True, "namespace": "research-models"},
    "rbac": {"scope": "cluster"},
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/ml"}},
    "webhook": {"enabled": True, "port": 8443},
    "service": {"type": "LoadBalancer", "annotations": {"example.com/internal": "true"}},
    "networkPolicy": {
        "scrapersFrom": [{"namespaceSelector": {"matchLabels": {"team": "platform"}}}],
        "webhooksFrom": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "egress": [{"ports": [{"port": 443}]}],
    },
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "rules": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}],
    "volumes": [{"name": "ssh", "secret": {"secretName": "git-ssh", "defaultMode": 0o440}}],
    "volumeMounts": [{"name": "ssh", "mountPath": "/var/lib/headgate/.ssh"}],
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/owner": "ml"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "system", "operator": "Exists"}],
    "priorityClassName": "system-cluster-critical",
}
SETS: dict[str, dict[str, Any]] = {
    "the least": FLIGHTS,
    "PostgreSQL": {**FLIGHTS, **ON_POSTGRESQL},
    "local steps": {**FLIGHTS, "steps": {"enabled": False}, "networkPolicy": {"enabled": False}},
    "servers": {**FLIGHTS, "serving": {"enabled": True}, "steps": {"enabled": False}},
    "everything": EVERYTHING,
    "other accounts": {
        **FLIGHTS,
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": "ml-platform"},
        "podDisruptionBudget": {"enabled": False},
        "home": {"size": "5Gi", "storageClass": "fast"},
    },
}
FROM_OTHERS = {"monitoring.coreos.com/v1"}
"""API groups whose schemas are not Kubernetes' own."""


def of_kind(kind: str, values: Mapping[str, Any]) -> list[Manifest]:
    return [each for each in manifests(values) if each["kind"] == kind]


def controller(values: Mapping[str, Any]) -> Manifest:
    (found,) = (each for each in manifests(values) if each["kind"] in ("StatefulSet", "Deployment"))
    return found


def settings(values: Mapping[str, Any]) -> str:
    (found,) = (
        each
        for each in of_kind("ConfigMap", values)
        if each["metadata"]["name"].endswith("settings")
    )
    return str(found["data"]["headgate.yaml"])


@pytest.mark.parametrize("version", ["1.25", "1.37"])
@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_what_is_rendered_is_valid(values: dict[str, Any], version: str) -> None:
    checked = 0
    for each in manifests(values):
        if each["apiVersion"] not in FROM_OTHERS:
            kubernetes_validate.validate(each, version, strict=True)
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_names_and_references_fit_together(values: dict[str, Any]) -> None:
    found = manifests(values)
    keys = [(e["kind"], e["metadata"].get("namespace"), e["metadata"]["name"]) for e in found]
    assert len(keys) == len(set(keys))
    pod = controller(values)["spec"]["template"]
    for kind in ("Service", "PodDisruptionBudget"):
        for each in of_kind(kind, values):
            selected = each["spec"]["selector"]
            wanted = selected.get("matchLabels", selected)
            assert wanted.items() <= pod["metadata"]["labels"].items()
    account = pod["spec"]["serviceAccountName"]
    for each in of_kind("RoleBinding", values):
        assert [subject["name"] for subject in each["subjects"]] == [account]
        kind, space = each["roleRef"]["kind"], each["metadata"]["namespace"]
        role = (kind, None if kind == "ClusterRole" else space, each["roleRef"]["name"])
        assert role in keys


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_a_controller_accepts_its_settings(values: dict[str, Any]) -> None:
    loaded = load_settings(settings(values), "headgate.yaml")
    assert [str(each) for each in loaded.problems if each.severity == "error"] == []
    assert loaded.settings is not None
    if values.get("steps", {}).get("enabled", True):
        image = controller(values)["spec"]["template"]["spec"]["containers"][0]["image"]
        assert loaded.settings.kubernetes.image == image
        assert loaded.settings.kubernetes.namespace == values.get("steps", {}).get(
            "namespace", "headgate-steps"
        )
    if values is EVERYTHING:
        assert loaded.settings.kubernetes.serving.namespace == "research-models"
        assert loaded.settings.github.app.id == 1234567
        assert loaded.settings.github.webhook.port == 8443


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_pod_meets_the_restricted_standard(values: dict[str, Any]) -> None:
    spec = controller(values)["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in spec["containers"]:
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_sqlite_has_a_volume_and_postgresql_needs_none() -> None:
    lasting, passing = controller(FLIGHTS), controller({**FLIGHTS, **ON_POSTGRESQL})
    assert lasting["kind"] == "StatefulSet"
    assert [each["metadata"]["name"] for each in lasting["spec"]["volumeClaimTemplates"]] == [
        "home"
    ]
    assert passing["kind"] == "Deployment"
    assert passing["spec"]["strategy"] == {"type": "Recreate"}
    volumes = {each["name"]: each for each in passing["spec"]["template"]["spec"]["volumes"]}
    assert "emptyDir" in volumes["home"]
    assert settings({**FLIGHTS, **ON_POSTGRESQL}).count("store: ${DATABASE_URL}") == 1


def test_other_settings_restart_the_controller() -> None:
    changed = copy.deepcopy(FLIGHTS)
    changed["settings"]["slots"] = 9
    first, second, again = (
        controller(each)["spec"]["template"]["metadata"]["annotations"]
        for each in (FLIGHTS, changed, FLIGHTS)
    )
    assert first == again != second


def test_what_kserve_needs_is_allowed_in_the_namespace_of_servers() -> None:
    serving = {"enabled": True, "namespace": "models", "kserve": True}
    found = manifests({**FLIGHTS, "serving": serving})
    named = [each for each in found if each["metadata"]["name"].endswith("-serving")]
    (role,) = (each for each in named if each["kind"] == "Role")
    assert role["metadata"]["namespace"] == "models"
    allowed = {
        (*rule["apiGroups"], resource, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needs = (*SERVING, *KSERVE)
    assert allowed == {(n.group, n.resource, verb) for n in needs for verb in n.verbs}
    pod = controller({**FLIGHTS, "serving": serving, "steps": {"enabled": False}})
    assert pod["spec"]["template"]["spec"]["automountServiceAccountToken"]


def test_without_steps_the_controller_has_no_right_and_no_token() -> None:
    found = manifests(SETS["local steps"])
    assert not [each for each in found if "Role" in each["kind"]]
    assert controller(SETS["local steps"])["spec"]["template"]["spec"][
        "automountServiceAccountToken"
    ] is (False)


@pytest.mark.parametrize(
    ("scope", "kind", "space"),
    [("namespace", "Role", "headgate-steps"), ("cluster", "ClusterRole", None)],
)
def test_rights_end_at_the_namespace_of_steps(scope: str, kind: str, space: str | None) -> None:
    values = {**FLIGHTS, "rbac": {"scope": scope}}
    roles = [each for each in manifests(values) if each["kind"] in ("Role", "ClusterRole")]
    assert [(e["kind"], e["metadata"].get("namespace")) for e in roles] == [(kind, space)]
    (binding,) = (each for each in manifests(values) if each["kind"].endswith("Binding"))
    assert (binding["kind"], binding["metadata"]["namespace"]) == ("RoleBinding", "headgate-steps")


@pytest.mark.parametrize("scope", ["namespace", "cluster"])
def test_the_rights_for_servers_are_bound_in_their_namespace_alone(scope: str) -> None:
    values = {**SETS["servers"], "rbac": {"scope": scope}}
    bindings = [each for each in manifests(values) if each["kind"].endswith("Binding")]
    assert [(one["kind"], one["metadata"]["namespace"]) for one in bindings] == [
        ("RoleBinding", "headgate-serving")
    ]
    (space,) = of_kind("Namespace", values)
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = controller(values)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is True


def test_only_training_reads_anything_of_the_cluster_and_only_if_that_is_allowed() -> None:
    steps = {"training": True}
    for scope, count in (("namespace", 0), ("cluster", 1)):
        found = manifests({**FLIGHTS, "steps": steps, "rbac": {"scope": scope}})
        wide = [each for each in found if each["kind"] == "ClusterRoleBinding"]
        assert len(wide) == count
        for binding in wide:
            (role,) = (
                each
                for each in found
                if each["kind"] == "ClusterRole"
                and each["metadata"]["name"] == binding["roleRef"]["name"]
            )
            assert role["rules"] == [
                {
                    "apiGroups": [need.group],
                    "resources": [need.resource],
                    "verbs": list(need.verbs),
                }
                for need in RUNTIMES
            ]


@pytest.mark.parametrize(("replicas", "controllers"), [(1, "one"), (2, "several")])
def test_more_than_one_controller_share_the_work(replicas: int, controllers: str) -> None:
    values = {**FLIGHTS, **ON_POSTGRESQL, "replicas": replicas}
    loaded = load_settings(settings(values), "headgate.yaml").settings
    assert loaded is not None
    assert loaded.controllers == controllers


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no repository": ({"settings": {}}, "repositories"),
    "a typing error": ({**FLIGHTS, "replica": 2}, "replica"),
    "a typing error in the settings": (
        {"settings": {**FLIGHTS["settings"], "slot": 3}},
        "slot",
    ),
    "what the chart sets": ({"settings": {**FLIGHTS["settings"], "home": "/data"}}, "home"),
    "a wrong type": ({**FLIGHTS, "replicas": "two"}, "replicas"),
    "a tag as a digest": ({**FLIGHTS, "image": {"digest": "v1"}}, "digest"),
    "two controllers on SQLite": (
        {**FLIGHTS, "replicas": 2},
        "SQLite has room for one controller: set postgresql.enabled, or replicas: 1",
    ),
    "two controllers that do not share": (
        {
            **ON_POSTGRESQL,
            "replicas": 2,
            "settings": {**FLIGHTS["settings"], "controllers": "one"},
        },
        "settings.controllers is one: leave it out, or set replicas: 1",
    ),
    "PostgreSQL without its address": (
        {**FLIGHTS, "postgresql": {"enabled": True}},
        "a Secret whose key DATABASE_URL is postgresql://USER:PASSWORD@HOST/DATABASE",
    ),
    "webhooks that are not verified": (
        {**FLIGHTS, "webhook": {"enabled": True}},
        "webhook.enabled needs settings.github.webhook.secret",
    ),
    "steps without a store": (
        {"settings": {"repositories": FLIGHTS["settings"]["repositories"]}},
        "steps.enabled needs settings.artifacts",
    ),
    "servers without a store": (
        {
            "settings": {"repositories": FLIGHTS["settings"]["repositories"]},
            "steps": {"enabled": False},
            "serving": {"enabled": True},
        },
        "serving.enabled needs settings.artifacts",
    ),
    "servers beside steps": (
        {**FLIGHTS, "serving": {"enabled": True, "namespace": "headgate-steps"}},
        "where the controller or steps are; name another one",
    ),
    "steps beside the controller": (
        {**FLIGHTS, "steps": {"namespace": "headgate"}},
        "where the controller and its secrets are; name another one",
    ),
}


@pytest.mark.parametrize(("values", "said"), REFUSED.values(), ids=REFUSED)
def test_bad_values_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        rendered(values)
    assert said in str(refused.value)


def test_every_value_has_a_meaning_and_a_default() -> None:
    with helm_python.Chart.load(CHART) as chart:
        default, described = chart.values, chart.schema
    assert described is not None
    missing = []

    def look(given: Mapping[str, Any], about: Mapping[str, Any], above: str) -> None:
        assert about["additionalProperties"] is False, above
        assert given.keys() == about["properties"].keys() - {"global"}, above
        for name, one in about["properties"].items():
            if "properties" in one and name != "settings":
                look(given[name], one, f"{above}{name}.")
            elif not one.get("description"):
                missing.append(above + name)

    look(default, described, "")
    assert missing == []


def test_helm_finds_nothing_to_complain_about() -> None:
    report = helm_python.lint(CHART, EVERYTHING, strict=True)
    assert [one for one in report["messages"] if one["severity"] > 1] == []
    assert report["errors"] == []


def test_notes_say_what_to_do_next() -> None:
    (notes,) = (text for path, text in rendered(FLIGHTS).items() if path.endswith("NOTES.txt"))
    assert "watches 1 repository." in notes
    assert "statefulset/headgate -- headgate doctor" in notes
    assert "There is no Secret" in notes


def test_the_page_about_installing_shows_values_that_are_accepted() -> None:
    page = (CHART.parents[1] / "docs" / "install.md").read_text()
    (shown,) = re.findall(r"```text\n(# values\.yaml\n.*?)```", page, re.DOTALL)
    (values,) = documents(shown)
    assert settings(values).count("store: ${DATABASE_URL}") == 1
    assert load_settings(settings(values), "headgate.yaml").settings is not None


def test_alerts_and_board_are_those_of_the_repository() -> None:
    rules = (CHART.parent / "prometheus" / "headgate.rules.yaml").read_text()
    (installed,) = of_kind("PrometheusRule", EVERYTHING)
    assert [installed["spec"]] == documents(rules)
    boards = [each for each in of_kind("ConfigMap", EVERYTHING) if "headgate.json" in each["data"]]
    board = (CHART.parent / "grafana" / "headgate.json").read_text()
    assert [each["data"]["headgate.json"].strip() for each in boards] == [board.strip()]


def test_made_files_are_up_to_date() -> None:
    out_of_date = "run `make manifests`"
    assert SCHEMA.read_text() == schema(), out_of_date
    assert README.read_text() == readme(), out_of_date
    assert MANIFESTS.read_text() == plain(), out_of_date


def test_the_manifests_are_what_helm_installs() -> None:
    values = documents(GIVEN.read_text())[0]

    def plainly(each: Manifest) -> tuple[str, str, str]:
        return each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]

    by_helm = {plainly(each): each for each in manifests(values)}
    by_hand = {plainly(each): each for each in documents(MANIFESTS.read_text())}
    assert by_hand.keys() - by_helm.keys() == {("Namespace", "", "headgate")}
    for key, installed in by_helm.items():
        for part in ("spec", "data", "rules", "subjects", "roleRef"):
            assert by_hand[key].get(part) == installed.get(part)
        kubernetes_validate.validate(by_hand[key], "1.37", strict=True)
