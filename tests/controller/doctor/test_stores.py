"""`headgate doctor` looks at the artifacts' object store and at the queues."""

from pathlib import Path

import pytest

from controller.artifacts.opening import open_artifacts
from controller.artifacts.remote import OWNER
from controller.config.settings import Settings
from controller.doctor.findings import Finding
from controller.doctor.stores import examine_stores
from tests.servers.moto import Moto
from tests.servers.stores import settings_of

pytestmark = pytest.mark.usefixtures("aws")


async def found(settings: Settings, home: Path) -> list[Finding]:
    return [each async for each in examine_stores(settings, home)]


async def test_a_store_that_takes_all_that_is_asked_is_well_and_left_as_it_was(
    moto: Moto, tmp_path: Path
) -> None:
    bucket = moto.bucket()
    [finding] = await found(settings_of(moto, bucket), tmp_path)
    assert finding.state == "ok"
    assert (
        finding.message == f"s3://{bucket}/artifacts can be written, listed, read and deleted from"
    )
    assert "Contents" not in moto.client("s3").list_objects_v2(Bucket=bucket)


async def test_a_prefix_of_another_controller_is_told_of(moto: Moto, tmp_path: Path) -> None:
    settings = settings_of(moto, moto.bucket())
    await open_artifacts(settings, tmp_path / "theirs", "theirs").put_bytes(b"theirs")
    [finding] = await found(settings, tmp_path / "ours")
    assert finding.state == "error"
    assert "belongs to another controller" in finding.message
    assert OWNER in finding.message


async def test_a_bucket_that_is_not_there_is_told_of(moto: Moto, tmp_path: Path) -> None:
    [finding] = await found(settings_of(moto, "no-such-bucket"), tmp_path)
    assert finding.state == "error"
    assert "no such bucket" in finding.message


async def test_queues_are_asked(moto: Moto, tmp_path: Path) -> None:
    url = moto.queue()
    settings = Settings.model_validate(
        {
            "repositories": [{"name": "team", "url": "remote.git"}],
            "stores": [
                {"uri": "s3://lake", "endpoint": moto.url, "events": url},
                {"uri": "s3://other", "endpoint": moto.url, "events": f"{url}-gone"},
            ],
        }
    )
    well, gone = await found(settings, tmp_path)
    assert (well.state, well.message) == ("ok", "it answers; about 0 messages are waiting")
    assert (gone.what, gone.state) == (f"queue {url.rpartition('/')[2]}-gone", "error")
    assert "there is no queue" in gone.message


async def test_without_any_nothing_is_said(tmp_path: Path) -> None:
    settings = Settings.model_validate({"repositories": [{"name": "team", "url": "remote.git"}]})
    assert await found(settings, tmp_path) == []
