"""What refusals of an API server mean, and a client that cannot be made."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.config.kubernetes import KubernetesSettings
from deployers.kubernetes import cluster as calls
from deployers.kubernetes.cluster import ApiRefusal, Cluster, explained
from specs.failures import Failure, NeedsHuman, TryAgain


@pytest.mark.parametrize(
    ("refusal", "kind", "human", "words"),
    [
        (ApiRefusal(401, "Unauthorized", "Unauthorized"), TryAgain, True, "renew its credentials"),
        (
            ApiRefusal(403, "Forbidden", 'jobs.batch is forbidden: User "x" cannot create'),
            TryAgain,
            True,
            "headgate doctor",
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
        (
            ApiRefusal(403, "Forbidden", 'admission webhook "kserve" denied the request: no'),
            NeedsHuman,
            None,
            "denied the request",
        ),
        (ApiRefusal(422, "Invalid", "spec.x: Required value"), NeedsHuman, None, "Required value"),
    ],
)
def test_a_refusal_is_waited_for_or_told_with_its_fix(
    refusal: ApiRefusal, kind: type[Failure], human: bool | None, words: str
) -> None:
    failure = explained(refusal, "create jobs")
    assert isinstance(failure, kind)
    assert words in str(failure)
    if isinstance(failure, TryAgain):
        assert failure.human is human
        assert failure.after is not None or refusal.code == 401


async def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightkube.config.client_adapter", None)
    cluster = Cluster(KubernetesSettings().access(Path()))
    with pytest.raises(NeedsHuman, match="extra `kubernetes`"):
        await cluster.get("jobs", "a")


@pytest.mark.parametrize("text", ["", "{}", "contexts: [", "no mapping"])
async def test_a_configuration_that_cannot_be_read_is_named_with_the_fix(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "config").write_text(text)
    cluster = Cluster(KubernetesSettings(kubeconfig="config").access(tmp_path))
    with pytest.raises(NeedsHuman, match=r"kubernetes\.kubeconfig"):
        await cluster.get("jobs", "a")


async def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{clusters: [], contexts: [], current-context: a}")
    cluster = Cluster(KubernetesSettings(kubeconfig="config", context="other").access(tmp_path))
    with pytest.raises(NeedsHuman, match="Context 'other' not found"):
        await cluster.get("jobs", "a")


def signed_in_by(tmp_path: Path, user: Mapping[str, Any], server: str) -> Cluster:
    """A client whose kubeconfig signs in by this."""
    whole = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "a", "user": user}],
    }
    (tmp_path / "config").write_text(json.dumps(whole))
    return Cluster(KubernetesSettings(kubeconfig="config").access(tmp_path))


def program(command: str) -> Mapping[str, Any]:
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": command, "interactiveMode": "Never"}}


@pytest.mark.parametrize("command", ["no-such-program", "false", "true"])
async def test_a_program_that_cannot_sign_in_is_waited_for_and_told_to_a_human(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "PAUSE", 0.0)
    cluster = signed_in_by(tmp_path, program(command), "http://127.0.0.1:9")
    with pytest.raises(TryAgain, match=r"kubernetes\.kubeconfig") as told:
        await cluster.list("jobs")
    assert told.value.human
    with pytest.raises(TryAgain, match=r"kubernetes\.kubeconfig"):
        async with cluster.stream("pods", {}):
            pass
    await cluster.close()


async def test_a_proxys_page_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSE", 0.0)
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
        await writer.drain()
        writer.close()
        asked.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        cluster = signed_in_by(tmp_path, {}, f"http://127.0.0.1:{port}")
        with pytest.raises(TryAgain, match="cannot be reached or signed in to"):
            await cluster.get("jobs", "a")
        assert asked.is_set()
        await cluster.close()
