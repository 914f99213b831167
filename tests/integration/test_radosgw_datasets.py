"""Datasets on Ceph's S3: the contract, every story of moto again, and what only Ceph shows."""

from pathlib import Path

import pytest

from controller.buckets.catalog import Catalog
from controller.buckets.stores import CredentialsRefused, Stores
from controller.config.settings import ObjectStore
from tests.contracts.bucket import BucketContract, Scene
from tests.controller.buckets.test_contract import S3Scene
from tests.controller.buckets.test_remote import *  # noqa: F403 - every story again, here
from tests.controller.buckets.test_remote import Lake
from tests.servers.radosgw import Radosgw

pytestmark = [pytest.mark.s3, pytest.mark.usefixtures("aws")]  # type: ignore[assignment]  # see the star


class TestRadosgwBucket(BucketContract):
    """A bucket."""

    @pytest.fixture(params=[False, True], ids=["plain", "versioned"])
    def scene(self, request: pytest.FixtureRequest, tmp_path: Path, radosgw: Radosgw) -> Scene:
        bucket = radosgw.bucket(versioned=request.param)
        return S3Scene(tmp_path, radosgw.client(), bucket, radosgw.url)


async def test_a_wrong_secret_is_told_with_the_mend(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(
        CredentialsRefused, match=r"rejected the credentials \(403 Sig.*; set AWS_ACC"
    ):
        await lake.catalog.list(lake.uri)


async def test_a_revoked_key_is_reported_and_the_new_one_is_used(
    lake: Lake, radosgw: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put("a.csv")
    assert await lake.keys() == ["a.csv"]
    radosgw.renew_key()
    with pytest.raises(
        CredentialsRefused, match=r"rejected the credentials \(403 InvalidAccessKeyId\)"
    ):
        await lake.keys()
    for name, value in radosgw.key.items():
        monkeypatch.setenv(name, value)
    assert await lake.keys() == ["a.csv"]


async def test_another_user_may_not_read_and_that_is_told(
    lake: Lake, radosgw: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in radosgw.stranger().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsRefused, match=r"may not be read \(403 AccessDenied\): allow"):
        await lake.catalog.list(lake.uri)


async def test_a_version_that_was_pinned_is_whole_after_the_server_was_killed(
    tmp_path: Path, own_moto: Radosgw
) -> None:
    bucket = own_moto.bucket()
    client = own_moto.client()
    for name in "abc":
        client.put_object(Bucket=bucket, Key=f"lake/{name}.csv", Body=name.encode())
    stores = Stores([ObjectStore(uri=f"s3://{bucket}", endpoint=own_moto.url)])
    catalog = Catalog(tmp_path / "datasets", stores)
    uri = f"s3://{bucket}/lake"
    version = (await catalog.list(uri)).manifest.digest
    own_moto.stop()
    own_moto.start()
    catalog.hint(uri)
    assert (await catalog.list(uri)).manifest.digest == version
    folder, _ = await catalog.pinned(uri, version)
    assert [(folder / f"{name}.csv").read_text() for name in "abc"] == list("abc")
