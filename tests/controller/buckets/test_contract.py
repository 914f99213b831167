"""The contract over local directories and over S3."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from controller.buckets.local import LocalBucket
from controller.buckets.protocol import Bucket
from controller.buckets.remote import RemoteBucket
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
from tests.contracts.bucket import BucketContract, DatedScene, MarkerContract
from tests.servers.moto import Moto, date_object


class LocalScene:
    """A directory whose files were written a while ago, each later than the one before."""

    def __init__(self, root: Path) -> None:
        self.bucket: Bucket = LocalBucket(root / "cache")
        self._lake = root / "lake"
        self._lake.mkdir()
        self._time = 1_700_000_000

    def uri(self, path: str = "") -> str:
        return f"{self._lake.as_uri()}/{path}" if path else self._lake.as_uri()

    def put(self, key: str, text: str) -> None:
        path = self._lake / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self._time += 1
        os.utime(path, (self._time, self._time))

    def put_at(self, second: int, key: str) -> None:
        self.put(key, f"{second}")
        os.utime(self._lake / key, (1_700_000_000 + second,) * 2)

    def delete(self, key: str) -> None:
        (self._lake / key).unlink()


class S3Scene:
    """A folder of keys in a bucket."""

    def __init__(self, root: Path, client: Any, bucket: str, endpoint: str) -> None:
        self._client = client
        self._name = bucket
        stores = Stores([ObjectStore(uri=f"s3://{bucket}", endpoint=endpoint)])
        self.bucket: Bucket = RemoteBucket(root / "manifests", root / "cache", stores)
        client.put_object(Bucket=bucket, Key="lakeside/not-ours.csv", Body=b"x")

    def uri(self, path: str = "") -> str:
        return f"s3://{self._name}/lake" + (f"/{path}" if path else "")

    def put(self, key: str, text: str) -> None:
        self._client.put_object(Bucket=self._name, Key=f"lake/{key}", Body=text.encode())

    def put_at(self, second: int, key: str) -> None:
        self.put(key, f"{second}")
        written = datetime(2026, 1, 1, 0, 0, second)  # noqa: DTZ001 - moto keeps no zone
        date_object(self._name, f"lake/{key}", written)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=f"lake/{key}")


class TestLocalBucket(BucketContract, MarkerContract):
    """Local directories."""

    @pytest.fixture
    def scene(self, tmp_path: Path) -> DatedScene:
        return LocalScene(tmp_path)


@pytest.mark.usefixtures("aws")
class TestS3Bucket(BucketContract, MarkerContract):
    """An S3 server."""

    @pytest.fixture(params=[False, True], ids=["plain", "versioned"])
    def scene(self, request: pytest.FixtureRequest, tmp_path: Path, moto: Moto) -> DatedScene:
        bucket = moto.bucket(versioned=request.param)
        return S3Scene(tmp_path, moto.client("s3"), bucket, moto.url)
