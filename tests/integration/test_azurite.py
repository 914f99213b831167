"""Datasets and artifacts on Azure's blob storage."""

import asyncio
from pathlib import Path

import pytest

from controller.artifacts.opening import open_artifacts
from controller.buckets.protocol import Bucket
from controller.buckets.remote import RemoteBucket
from controller.buckets.stores import CredentialsRefused, Stores
from controller.config.settings import ObjectStore, Settings
from specs.failures import NeedsHuman
from tests.contracts.bucket import BucketContract, Scene
from tests.servers.azurite import Azurite

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("azure")]


class AzureScene:
    """A folder of keys in a container."""

    def __init__(self, root: Path, azurite: Azurite) -> None:
        self._azurite = azurite
        self._name = azurite.container()
        stores = Stores([ObjectStore(uri=f"az://{self._name}", endpoint=azurite.url)])
        self.bucket: Bucket = RemoteBucket(root / "manifests", root / "cache", stores)
        azurite.put(self._name, "lakeside/not-ours.csv", b"x")

    def uri(self, path: str = "") -> str:
        return f"az://{self._name}/lake" + (f"/{path}" if path else "")

    def put(self, key: str, text: str) -> None:
        self._azurite.put(self._name, f"lake/{key}", text.encode())

    def delete(self, key: str) -> None:
        self._azurite.delete(self._name, f"lake/{key}")


@pytest.fixture
def scene(tmp_path: Path, azurite: Azurite) -> AzureScene:
    return AzureScene(tmp_path, azurite)


class TestAzureBucket(BucketContract):
    """A container."""

    odd = tuple(name for name in BucketContract.odd if "\\" not in name)  # which Azure makes a "/"

    @pytest.fixture
    def scene(self, scene: AzureScene) -> Scene:
        return scene


async def test_a_wrong_key_is_told_with_the_mend(
    scene: AzureScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=")
    with pytest.raises(CredentialsRefused, match="403"):
        await scene.bucket.list(scene.uri())


async def test_a_container_that_is_not_there_is_told(azurite: Azurite, tmp_path: Path) -> None:
    stores = Stores([ObjectStore(uri="az://nowhere", endpoint=azurite.url)])
    bucket = RemoteBucket(tmp_path / "manifests", tmp_path / "cache", stores)
    with pytest.raises(NeedsHuman, match="there is no such bucket"):
        await bucket.list("az://nowhere/lake")


async def test_artifacts_are_kept_there_and_read_by_a_second_machine(
    azurite: Azurite, tmp_path: Path
) -> None:
    name = azurite.container()
    settings = Settings.model_validate(
        {
            "repositories": [{"name": "team", "url": "remote.git"}],
            "artifacts": f"az://{name}/artifacts",
            "stores": [{"uri": f"az://{name}", "endpoint": azurite.url}],
        }
    )
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * (12 * 2**20 // 256))
    first = open_artifacts(settings, tmp_path / "first", "first")
    stored = await asyncio.gather(first.put(large), first.put_bytes(b"report"))
    second = open_artifacts(settings, tmp_path / "second")
    await second.link(stored[0].digest, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == large.read_bytes()
    assert await second.read_bytes(stored[1].digest) == b"report"
