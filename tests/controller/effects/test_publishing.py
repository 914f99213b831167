"""Models that are published for servers which know neither digests nor Headgate."""

import time
from pathlib import Path
from typing import Any

import pytest

from controller.artifacts.opening import open_artifacts, open_remote
from controller.effects.shipping import Shipper
from tests.controller.artifacts.test_remote import OURS, There
from tests.servers.moto import Moto

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def there(moto: Moto) -> There:
    return There(moto)


def shipper(there: There, home: Path) -> Shipper:
    remote = open_remote(there.settings, OURS)
    assert remote is not None
    return Shipper(open_artifacts(there.settings, home, OURS), remote, ())


def objects(there: There) -> dict[str, Any]:
    """What is published, with the time when it was written."""
    found = there.moto.client("s3").list_objects_v2(Bucket=there.bucket).get("Contents", ())
    keys = {each["Key"].removeprefix("artifacts/"): each["LastModified"] for each in found}
    return {key: when for key, when in keys.items() if key.startswith("served/")}


async def test_a_file_is_in_a_folder_of_its_version_under_its_own_name(
    there: There, tmp_path: Path
) -> None:
    model = tmp_path / "model.joblib"
    model.write_bytes(b"weights")
    ours = shipper(there, tmp_path / "home")
    shipment = await ours.publish("sha256:1", model, "v1")
    assert shipment.address == f"s3://{there.bucket}/artifacts/served/v1"
    before = objects(there)
    assert set(before) == {"served/v1/model.joblib"}
    assert await ours.publish("sha256:1", model, "v1") == shipment
    assert objects(there) == before


async def test_a_folder_keeps_the_paths_of_its_files(there: There, tmp_path: Path) -> None:
    (tmp_path / "model" / "1").mkdir(parents=True)
    for name in ("config.pbtxt", "1/model.onnx"):
        (tmp_path / "model" / name).write_text(name)
    await shipper(there, tmp_path / "home").publish("sha256:2", tmp_path / "model", "v2")
    assert set(objects(there)) == {"served/v2/config.pbtxt", "served/v2/1/model.onnx"}


async def test_what_no_version_needs_any_more_is_withdrawn(there: There, tmp_path: Path) -> None:
    model = tmp_path / "model.joblib"
    model.write_bytes(b"weights")
    ours = shipper(there, tmp_path / "home")
    for version in ("v1", "v2"):
        await ours.publish("sha256:1", model, version)
    assert ours.withdraw({"v2"}, time.time() - 3600) == 0  # too young
    assert ours.withdraw({"v2"}, time.time() + 60) == 1
    assert set(objects(there)) == {"served/v2/model.joblib"}
