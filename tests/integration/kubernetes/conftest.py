"""A real Kubernetes, and a namespace in it for each test."""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

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
