"""What a server on a cluster needs is in the artifact store, and stays there."""

import time
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.artifacts.remote import RemoteArtifacts
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
from controller.effects.shipping import Shipper, shipped
from controller.executors.kubernetes.plan import FetchPlan
from tests.servers.moto import Moto

pytestmark = pytest.mark.usefixtures("aws")


class Depot:
    """An artifact store, as one controller of an installation has it."""

    def __init__(self, home: Path, url: str, bucket: str) -> None:
        stores = (ObjectStore(uri=f"s3://{bucket}", endpoint=url),)
        remote = RemoteArtifacts(f"s3://{bucket}/artifacts", Stores(stores), "me")
        self.artifacts = Artifacts(home / "artifacts", remote)
        self.shipper = Shipper(self.artifacts, remote, stores)
        self.code = home / "v1" / "code"
        (self.code / "team").mkdir(parents=True)
        (self.code / "team" / "serve.py").write_text("serve")


async def test_a_version_is_shipped_once_and_every_controller_ships_the_same(
    tmp_path: Path, moto: Moto
) -> None:
    bucket = moto.bucket()
    one, other = (Depot(tmp_path / name, moto.url, bucket) for name in ("one", "other"))
    model = (await one.artifacts.put_bytes(b"model")).digest
    shipment = await one.shipper.ship(model, "model.joblib", one.code, "team")
    assert (shipment.model, shipment.root, shipment.folder, shipment.artifact) == (
        "inputs/model/model.joblib",
        "code",
        "code/team",
        model,
    )
    told = FetchPlan.model_validate_json(await one.artifacts.read_bytes(shipment.plan))
    assert [(each.path, each.digest) for each in told.inputs] == [(shipment.model, model)]
    assert shipped(one.code.parent) == [shipment.plan, told.bundle]
    (one.code / "team" / "serve.py").unlink()  # it is not read again
    assert await one.shipper.ship(model, "model.joblib", one.code, "team") == shipment
    assert await other.shipper.ship(model, "model.joblib", other.code, "team") == shipment


async def test_what_was_shipped_is_kept_as_long_as_its_version_and_made_again_if_it_is_lost(
    tmp_path: Path, moto: Moto
) -> None:
    depot = Depot(tmp_path, moto.url, moto.bucket())
    model = (await depot.artifacts.put_bytes(b"model")).digest
    shipment = await depot.shipper.ship(model, "m", depot.code, "")
    kept = {model, *shipped(depot.code.parent)}
    later = time.time() + 3600
    await depot.artifacts.sweep(kept, later)
    assert await depot.artifacts.lacking(kept) == set()
    await depot.artifacts.sweep({model}, later)
    assert await depot.artifacts.lacking(kept) == kept - {model}
    assert await depot.shipper.ship(model, "m", depot.code, "") == shipment
    assert await depot.artifacts.lacking(kept) == set()
    assert shipped(tmp_path / "unknown") == []
