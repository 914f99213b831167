"""The contract of executors, over every registered one, alone and behind the router."""

from typing import get_args

import pytest

from controller.executors.registry import EXECUTORS
from specs.resources import ExecutorKind
from tests.contracts.executor import ExecutorContract, Site
from tests.controller.executors.docker_site import DockerSite
from tests.controller.executors.kubernetes_site import KubernetesSite
from tests.controller.executors.routed_site import RoutedDockerSite, RoutedLocalSite
from tests.controller.executors.site import LocalSite


class TestLocal(ExecutorContract):
    """As processes."""

    @pytest.fixture
    def site(self, site: LocalSite) -> Site:
        return site


@pytest.mark.bwrap
class TestConfined(ExecutorContract):
    """As confined processes."""

    @pytest.fixture
    def site(self, confined_site: LocalSite) -> Site:
        return confined_site


@pytest.mark.docker
class TestDocker(ExecutorContract):
    """As containers."""

    @pytest.fixture
    def site(self, docker_site: DockerSite) -> Site:
        return docker_site


@pytest.mark.bwrap
class TestKubernetes(ExecutorContract):
    """As Jobs of a cluster."""

    @pytest.fixture
    def site(self, kubernetes_site: KubernetesSite) -> Site:
        return kubernetes_site


class TestRouterToLocal(ExecutorContract):
    """As processes, behind the router."""

    @pytest.fixture
    def site(self, routed_site: RoutedLocalSite) -> Site:
        return routed_site


@pytest.mark.docker
class TestRouterToDocker(ExecutorContract):
    """As containers, behind the router."""

    @pytest.fixture
    def site(self, routed_docker_site: RoutedDockerSite) -> Site:
        return routed_docker_site


HELD_TO_THE_CONTRACT = {
    "local": (TestLocal, TestConfined, TestRouterToLocal),
    "docker": (TestDocker, TestRouterToDocker),
    "kubernetes": (TestKubernetes,),
}


def test_every_registered_executor_is_held_to_the_contract() -> None:
    assert HELD_TO_THE_CONTRACT.keys() == EXECUTORS.keys()


def test_a_spec_may_name_every_registered_executor_and_no_other() -> None:
    assert set(get_args(ExecutorKind)) == EXECUTORS.keys()
