"""A site for each test; one commit and one empty environment for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.executors.docker_site import DockerSite
from tests.controller.executors.kubernetes_site import KubernetesSite, prepare_cluster
from tests.controller.executors.routed_site import RoutedDockerSite, RoutedLocalSite
from tests.controller.executors.site import LocalSite, make_team
from tests.doubles.kubernetes import Kubernetes
from tests.servers.moto import Moto


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What all sites share, and the commit that they run."""
    folder = tmp_path_factory.mktemp("team")
    return folder, make_team(folder)


@pytest.fixture
def site(tmp_path: Path, team: tuple[Path, str]) -> Iterator[LocalSite]:
    """A place with nothing running."""
    made = LocalSite(tmp_path, *team)
    yield made
    made.tear_down()


@pytest.fixture
def routed_site(tmp_path: Path, team: tuple[Path, str]) -> Iterator[RoutedLocalSite]:
    """A place behind the router, with nothing running."""
    made = RoutedLocalSite(tmp_path, *team)
    yield made
    made.tear_down()


@pytest.fixture
def confined_site(tmp_path: Path, team: tuple[Path, str], namespaces: None) -> Iterator[LocalSite]:
    """A place whose steps are confined."""
    made = LocalSite(tmp_path, *team, kind="namespace")
    yield made
    made.tear_down()


@pytest.fixture
def image(docker_host: str, python_image: str) -> str:
    """The id of an image of the engine."""
    from docker import DockerClient

    client = DockerClient(base_url=docker_host)
    image = client.images.get(python_image).id
    client.close()
    assert image
    return image


@pytest.fixture
def docker_site(
    tmp_path: Path, team: tuple[Path, str], docker_host: str, image: str
) -> Iterator[DockerSite]:
    """A place with no container."""
    made = DockerSite(tmp_path, team, docker_host, image)
    yield made
    made.tear_down()


@pytest.fixture
def routed_docker_site(
    tmp_path: Path, team: tuple[Path, str], docker_host: str, image: str
) -> Iterator[RoutedDockerSite]:
    """A place with no container, behind the router."""
    made = RoutedDockerSite(tmp_path, team, docker_host, image)
    yield made
    made.tear_down()


@pytest.fixture
def kubernetes_site(
    tmp_path: Path, team: tuple[Path, str], namespaces: None, moto: Moto, aws: None
) -> Iterator[KubernetesSite]:
    """A place on a cluster of one node, with no Job."""
    with Kubernetes(tmp_path / "cluster") as cluster:
        prepare_cluster(cluster)
        kubeconfig = cluster.write_kubeconfig(tmp_path / "kubeconfig.json")
        uri = f"s3://{moto.bucket()}/artifacts"
        yield KubernetesSite(tmp_path, team, kubeconfig, moto.url, uri, cluster)
