"""Which files of this machine a dataset may be made of, whatever its address is written as."""

import os
from pathlib import Path

import pytest

from controller.buckets.catalog import Catalog
from controller.buckets.local import LocalBucket
from controller.buckets.protocol import ObjectChanged
from controller.buckets.roots import OutsideRoots, Roots
from specs.failures import NeedsHuman

BEFORE = (1e9, 1e9)


class Machine:
    """A folder of data that is allowed, and beside it what a controller has for itself."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = self.write("data/flights/a.csv", "1").parent
        self.write("etc/secrets.env", "TOKEN=hush")
        self.write("etc/headgate.yaml", "slots: 2")
        self.write("data/home/state.db", "state")
        self.home = root / "data/home"
        self.private = (root / "etc/headgate.yaml", root / "etc/secrets.env")

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, BEFORE)
        return path

    def bucket(self, *allowed: str) -> LocalBucket:
        roots = Roots.of((self.root / one for one in allowed), self.home, self.private)
        return LocalBucket(self.root / "cache", roots=roots)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """See `Machine`."""
    return Machine(tmp_path)


async def keys(bucket: LocalBucket, uri: str) -> list[str]:
    return [entry.key for entry in (await bucket.list(uri)).manifest]


async def test_what_is_below_a_root_is_read_and_pinned(machine: Machine) -> None:
    bucket = machine.bucket("data")
    listing = await bucket.list(f"{machine.data.as_uri()}/*.csv")
    pinned = await bucket.pin(f"{machine.data.as_uri()}/*.csv", listing.manifest)
    assert (pinned / "a.csv").read_text() == "1"


async def test_without_a_root_no_absolute_address_is_read_and_the_line_to_add_is_named(
    machine: Machine,
) -> None:
    for uri in (machine.data.as_uri(), str(machine.data)):
        with pytest.raises(OutsideRoots) as refused:
            await machine.bucket().list(uri)
        assert f"`data_roots: [{machine.data}]` to headgate.yaml" in str(refused.value)


async def test_a_path_in_the_repository_needs_no_root(machine: Machine) -> None:
    bucket = machine.bucket()
    listing = await bucket.list("flights", repository=machine.data.parent)
    pinned = await bucket.pin("flights", listing.manifest, repository=machine.data.parent)
    assert (pinned / "a.csv").read_text() == "1"


@pytest.mark.parametrize(
    "path",
    [
        "etc",
        "etc/*.env",
        "etc/headgate.yaml",
        "data/home",
        "data/**/state.db",
        "**/*.env",
        "data/to-etc",
        "data/to-etc/*.env",
        "data/to-home",
    ],
)
async def test_nothing_of_the_controllers_own_is_read_whatever_leads_there(
    machine: Machine, path: str
) -> None:
    (machine.root / "data/to-etc").symlink_to(machine.root / "etc")
    (machine.root / "data/to-home").symlink_to(machine.home)
    uri = f"{machine.root}/{path}"
    if "*" not in path and (machine.root / path).is_file():
        uri = f"{machine.root}/etc/headgate*"
    with pytest.raises(NeedsHuman, match=r"may not be read|symbolic link out"):
        await machine.bucket("").list(uri)


async def test_what_the_kernel_says_is_no_data(machine: Machine) -> None:
    anywhere = LocalBucket(machine.root / "cache", roots=Roots((Path("/"),)))
    with pytest.raises(OutsideRoots):
        await anywhere.list(f"/proc/{os.getpid()}")


async def test_a_file_that_becomes_a_way_to_the_secrets_after_it_was_listed_is_not_copied(
    machine: Machine,
) -> None:
    bucket = machine.bucket("")
    machine.write("data/flights/b.csv", "TOKEN=hush")
    uri = machine.data.as_uri()
    manifest = (await bucket.list(uri)).manifest
    (machine.data / "b.csv").unlink()
    (machine.data / "b.csv").symlink_to(machine.root / "etc/secrets.env")
    with pytest.raises(OutsideRoots):
        await bucket.pin(uri, manifest)


async def test_a_folder_that_becomes_a_way_to_elsewhere_after_it_was_listed_is_not_copied(
    machine: Machine,
) -> None:
    bucket = machine.bucket("data")
    machine.write("data/flights/deep/c.csv", "3")
    machine.write("elsewhere/c.csv", "3")
    uri = machine.data.as_uri()
    manifest = (await bucket.list(uri)).manifest
    (machine.data / "deep").rename(machine.data / "shallow")
    (machine.data / "deep").symlink_to(machine.root / "elsewhere")
    with pytest.raises(ObjectChanged, match="deleted after it was listed: list again"):
        await bucket.pin(uri, manifest)


async def test_what_was_copied_before_it_was_forbidden_is_handed_out_no_more(
    machine: Machine,
) -> None:
    uri = machine.data.as_uri()
    before = Catalog(machine.root / "datasets")
    digest = (await before.list(uri)).manifest.digest
    await before.pinned(uri, digest)
    now = Catalog(machine.root / "datasets", roots=Roots(()))
    with pytest.raises(NeedsHuman, match="data_roots"):
        await now.pinned(uri, digest)
    with pytest.raises(NeedsHuman, match="data_roots"):
        await now.addresses(uri, digest)
