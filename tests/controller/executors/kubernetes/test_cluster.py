"""What refusals of an API server mean, and a client that cannot be made."""

import sys
from pathlib import Path

import pytest

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.cluster import ApiRefusal, Cluster, explained
from specs.failures import Failure, NeedsHuman, TryAgain


@pytest.mark.parametrize(
    ("refusal", "kind", "human", "words"),
    [
        (ApiRefusal(401, "Unauthorized", "Unauthorized"), TryAgain, True, "renew its credentials"),
        (
            ApiRefusal(403, "Forbidden", 'jobs.batch is forbidden: User "x" cannot create'),
            TryAgain,
            True,
            "docs/kubernetes.md",
        ),
        (
            ApiRefusal(403, "Forbidden", 'jobs "a" is forbidden: exceeded quota: team, requested'),
            TryAgain,
            False,
            "namespace's quota",
        ),
        (
            ApiRefusal(404, "NotFound", 'namespaces "a" not found'),
            TryAgain,
            True,
            "create the namespace",
        ),
        (ApiRefusal(429, "TooManyRequests", "slow down", 7.0), TryAgain, False, "tried again"),
        (ApiRefusal(503, "", "no leader"), TryAgain, False, "tried again"),
        (ApiRefusal(422, "Invalid", "spec.x: Required value"), NeedsHuman, None, "Required value"),
    ],
)
def test_a_refusal_is_waited_for_or_told_with_its_fix(
    refusal: ApiRefusal, kind: type[Failure], human: bool | None, words: str
) -> None:
    failure = explained(refusal, "create jobs")
    assert type(failure) is kind
    assert words in str(failure)
    if isinstance(failure, TryAgain):
        assert failure.human is human
        assert failure.after is not None or refusal.code == 401


async def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightkube.config.client_adapter", None)
    cluster = Cluster(KubernetesSettings(), Path())
    with pytest.raises(NeedsHuman, match="extra `kubernetes`"):
        await cluster.get("jobs", "a")


@pytest.mark.parametrize("text", ["", "{}", "contexts: [", "no mapping"])
async def test_a_configuration_that_cannot_be_read_is_named_with_the_fix(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "config").write_text(text)
    cluster = Cluster(KubernetesSettings(kubeconfig="config"), tmp_path)
    with pytest.raises(NeedsHuman, match=r"kubernetes\.kubeconfig"):
        await cluster.get("jobs", "a")


async def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{clusters: [], contexts: [], current-context: a}")
    cluster = Cluster(KubernetesSettings(kubeconfig="config", context="other"), tmp_path)
    with pytest.raises(NeedsHuman, match="Context 'other' not found"):
        await cluster.get("jobs", "a")
