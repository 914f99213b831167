"""The real Kubernetes of a test run, as tests use it."""

import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.engine import KEEPER, make_image
from tests.engine_keeper import ask
from tests.servers.kubernetes.programs import VERSION, hindrance

if TYPE_CHECKING:
    from lightkube import Client


@dataclass(frozen=True)
class Kubernetes:
    """A cluster of one node that runs pods in containers of an engine of its own."""

    kubeconfig: str
    """The file with the rights of an administrator."""
    stranger: str
    """The same of a user without rights."""
    api: str
    etcd: str
    docker: str
    node: str
    machine: str
    """The address at which pods reach this machine."""
    seconds: float
    """How long its start took."""
    image: str
    """An image on the node with a shell, common commands and this machine's Python."""

    def client(self) -> "Client":
        """lightkube's client with an administrator's rights; the caller closes it."""
        from lightkube import Client, KubeConfig

        config = KubeConfig.from_file(self.kubeconfig)
        return Client(config, field_manager="headgate-tests", trust_env=False)

    def http(self, user: str | None = None) -> httpx.Client:
        """Bare HTTP with the rights of a kubeconfig, an administrator's by default."""
        config = json.loads(Path(user or self.kubeconfig).read_text())
        trusted = config["clusters"][0]["cluster"]["certificate-authority"]
        return httpx.Client(
            base_url=self.api,
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            verify=ssl.create_default_context(cafile=trusted),
            trust_env=False,
            timeout=30,
        )

    def stop(self, part: str, how: str = "SIGKILL") -> None:
        """Send a part, such as `kube-apiserver`, a signal, and wait if it ends it."""
        self._tell(f"stop {part} {how}")

    def start(self, part: str) -> None:
        """Start a part again that was stopped; the API server is waited for."""
        self._tell(f"start {part}")

    def compact(self) -> int:
        """Let etcd forget all revisions but the newest, which is returned."""
        with httpx.Client(base_url=self.etcd, trust_env=False) as etcd:
            found = etcd.post("/v3/kv/range", json={"key": "AA=="}).raise_for_status().json()
            revision = int(found["header"]["revision"])
            order = {"revision": str(revision), "physical": True}
            etcd.post("/v3/kv/compaction", json=order).raise_for_status()
        return revision

    def _tell(self, line: str) -> None:
        answer = _ask(line)
        assert answer == "done", answer


def real_kubernetes() -> Kubernetes:
    """The cluster, one for all workers, started by whoever asks first; skips where it cannot be."""
    if lacking := hindrance():
        pytest.skip(lacking)
    if KEEPER not in os.environ:
        pytest.skip(f"no Kubernetes {VERSION}: only root starts one")
    said = _ask("up")
    assert said.startswith("{"), said  # where all its programs are, it has to start
    found = json.loads(said)
    return Kubernetes(**found, image=make_image(found["docker"], python=True))


def _ask(line: str) -> str:
    return ask(Path(os.environ[KEEPER]), f"kubernetes {line}")
