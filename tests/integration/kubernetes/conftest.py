"""A real Kubernetes, and a namespace in it for each test."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene
from tests.servers.kubernetes.handle import Kubernetes, real_kubernetes

if TYPE_CHECKING:
    from lightkube import Client


@pytest.fixture(scope="session")
def kubernetes() -> Kubernetes:
    """The cluster; skips where there is none."""
    return real_kubernetes()


@pytest.fixture
def client(kubernetes: Kubernetes) -> Iterator["Client"]:
    """An administrator's client."""
    with kubernetes.client() as made:
        yield made


@pytest.fixture
def scene(kubernetes: Kubernetes, client: "Client") -> Scene:
    """An empty namespace."""
    return Scene(kubernetes, client)


@pytest.fixture
def http(kubernetes: Kubernetes) -> Iterator[httpx.Client]:
    """An administrator's bare HTTP, for what a client's types leave out."""
    with kubernetes.http() as made:
        yield made
