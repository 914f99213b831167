"""Data in an object store: what keys may be, what is saved, and what faults come to."""

from pathlib import Path
from typing import Any

import pytest

from controller.buckets import listing as listing_module
from controller.buckets.catalog import Catalog
from controller.buckets.protocol import ObjectChanged
from controller.buckets.stores import Stores, address_of
from controller.config.settings import ObjectStore
from specs.failures import Failure, NeedsHuman, TryAgain
from tests.servers.faults import Faults
from tests.servers.moto import KEY, Moto

pytestmark = pytest.mark.usefixtures("aws")


class Lake:
    """A bucket, reached through the proxy."""

    def __init__(self, root: Path, moto: Moto, endpoint: str) -> None:
        self.name = moto.bucket()
        self.client = moto.client("s3")
        self.uri = f"s3://{self.name}/lake"
        self.stores = Stores([ObjectStore(uri=f"s3://{self.name}", endpoint=endpoint)])
        self.catalog = Catalog(root / "datasets", self.stores)

    def put(self, key: str, body: bytes = b"1") -> None:
        self.client.put_object(Bucket=self.name, Key=f"lake/{key}", Body=body)

    async def keys(self) -> list[str]:
        self.catalog.hint(self.uri)
        return [entry.key for entry in (await self.catalog.list(self.uri)).manifest]


@pytest.fixture
def lake(tmp_path: Path, moto: Moto, faults: Faults) -> Lake:
    return Lake(tmp_path, moto, faults.url)


async def test_markers_of_folders_and_empty_objects_hold_no_data(lake: Lake) -> None:
    for key in ("below/", "lone/", "empty.csv"):
        lake.put(key, b"")
    lake.put("below/a.csv")
    lake.put("below-b.csv")
    assert await lake.keys() == ["below-b.csv", "below/a.csv"]


async def test_an_upload_in_parts_is_listed_once_it_is_complete_and_its_etag_is_opaque(
    lake: Lake,
) -> None:
    lake.put("a.csv")
    where = {"Bucket": lake.name, "Key": "lake/big.bin"}
    upload = lake.client.create_multipart_upload(**where)["UploadId"]
    parts = []
    for number, body in enumerate((b"x" * 5 * 2**20, b"end"), 1):
        about = {"PartNumber": number, "UploadId": upload, **where}
        etag = lake.client.upload_part(Body=body, **about)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    assert await lake.keys() == ["a.csv"]
    whole = {"MultipartUpload": {"Parts": parts}, "UploadId": upload}
    lake.client.complete_multipart_upload(**whole, **where)
    lake.catalog.hint(lake.uri)
    found = (await lake.catalog.list(lake.uri)).manifest
    assert [entry.version.endswith('-2"') for entry in found] == [False, True]
    folder, _ = await lake.catalog.pinned(lake.uri, found.digest)
    assert (folder / "big.bin").stat().st_size == 5 * 2**20 + 3


async def test_a_key_below_another_is_listed_and_says_why_it_cannot_be_a_file(lake: Lake) -> None:
    for key in ("a", "a-b", "a/c"):
        lake.put(key)
    found = (await lake.catalog.list(lake.uri)).manifest
    assert len(found) == 3
    with pytest.raises(NeedsHuman, match=r"'a/c' is below another.*access: uri"):
        await lake.catalog.pinned(lake.uri, found.digest)


async def test_a_key_that_is_no_path_is_named(lake: Lake) -> None:
    lake.put("a//b.csv")
    with pytest.raises(NeedsHuman, match=r"a//b\.csv.*rename it"):
        await lake.catalog.list(lake.uri)


@pytest.mark.parametrize("root", [False, True], ids=["folder", "root"])
@pytest.mark.parametrize(
    "odd",
    [
        *["b.csv/", "x/b.csv/", "b.csv//", "x//b.csv", "./b.csv", "x/./b.csv", ".", "x/."],
        *["../b.csv", "x/../b.csv", "..", "x/..", "b\x7f.csv"],
    ],
)
async def test_an_odd_key_is_named_as_it_is_however_often_it_is_asked_for(
    lake: Lake, odd: str, root: bool
) -> None:
    uri = f"s3://{lake.name}" if root else lake.uri
    key = odd if root else f"{lake.uri.split('/', 3)[3]}/{odd}"
    for name in ("a.csv", "b.csv-", "b.csv.gz", "b.csv0"):
        lake.client.put_object(Bucket=lake.name, Key=key.removesuffix(odd) + name, Body=b"1")
    lake.client.put_object(Bucket=lake.name, Key=key, Body=b"1")
    said = []

    async def ask() -> None:
        lake.catalog.hint(uri)
        found = (await lake.catalog.list(uri)).manifest
        await lake.catalog.pinned(uri, found.digest)

    for _ in range(2):
        with pytest.raises(NeedsHuman) as raised:
            await ask()
        said.append(str(raised.value))
    assert f"has an object {key!r} whose key is not a valid path" in said[0]
    assert said == [said[0]] * 2


@pytest.mark.parametrize("root", [False, True], ids=["folder", "root"])
@pytest.mark.parametrize("key", ["x\\b.csv", " ", "x%2Fb.csv", "%2e%2e/b", "é.csv", "a?b#c.csv"])
async def test_a_key_that_only_looks_odd_is_data(lake: Lake, key: str, root: bool) -> None:
    uri = f"s3://{lake.name}" if root else lake.uri
    full = key if root else f"{lake.uri.split('/', 3)[3]}/{key}"
    lake.client.put_object(Bucket=lake.name, Key=full, Body=b"1")
    found = (await lake.catalog.list(uri)).manifest
    folder, _ = await lake.catalog.pinned(uri, found.digest)
    assert [entry.key for entry in found] == [key]
    assert (folder / key).read_bytes() == b"1"


@pytest.mark.parametrize("odd", ["/b.csv", "/-b.csv", "/deep/b.csv"])
async def test_a_key_at_the_root_that_begins_with_a_slash_is_named_by_the_listing(
    lake: Lake, odd: str
) -> None:
    root = f"s3://{lake.name}"
    for key in (".hidden", "-a.csv", "0.csv", "z.csv"):
        lake.client.put_object(Bucket=lake.name, Key=key, Body=b"1")
    lake.client.put_object(Bucket=lake.name, Key="/", Body=b"")
    assert len((await lake.catalog.list(root)).manifest) == 3
    lake.client.put_object(Bucket=lake.name, Key=odd, Body=b"1")
    lake.catalog.hint(root)
    with pytest.raises(NeedsHuman, match=rf"'{odd}' whose key is not a valid path.*rename it"):
        await lake.catalog.list(root)
    assert len((await lake.catalog.list(f"{root}/*.parquet")).manifest) == 0
    lake.client.delete_object(Bucket=lake.name, Key=odd)
    assert len((await lake.catalog.list(root)).manifest) == 3


@pytest.mark.parametrize("root", [False, True], ids=["folder", "root"])
async def test_a_key_that_ends_with_a_slash_is_named_by_the_listing(lake: Lake, root: bool) -> None:
    """A plan lists and reads nothing."""
    uri = f"s3://{lake.name}" if root else lake.uri
    folder = "" if root else f"{lake.uri.split('/', 3)[3]}/"
    for name in ("a.csv", "b.csv-", "folder/c.csv"):
        lake.client.put_object(Bucket=lake.name, Key=f"{folder}{name}", Body=b"1")
    lake.client.put_object(Bucket=lake.name, Key=f"{folder}empty/", Body=b"")
    assert len((await lake.catalog.list(uri)).manifest) == 3
    lake.client.put_object(Bucket=lake.name, Key=f"{folder}b.csv/", Body=b"1")
    lake.catalog.hint(uri)
    with pytest.raises(
        NeedsHuman, match=rf"'{folder}b.csv/' whose key is not a valid path.*rename it"
    ):
        await lake.catalog.list(uri)
    lake.client.delete_object(Bucket=lake.name, Key=f"{folder}b.csv/")
    assert len((await lake.catalog.list(uri)).manifest) == 3


async def test_a_known_dataset_is_listed_in_parts_and_found_whole(
    lake: Lake, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_module, "MIN_PART", 20)
    monkeypatch.setattr("controller.buckets.manifest._MEAN", 16)
    names = [f"{number % 10}/{number:03}" for number in range(150)]
    for name in names:
        lake.put(name)
    assert await lake.keys() == sorted(names)
    for name in ("9/zzz", "0/000-b"):
        lake.put(name)
    for marker in ("0/", "4/"):
        lake.put(marker, b"")
    faults.asked.clear()
    assert await lake.keys() == sorted([*names, "9/zzz", "0/000-b"])
    assert sum("start-after" in path for path in faults.asked) > 2


async def test_a_listing_stands_until_something_is_hinted_at(lake: Lake, faults: Faults) -> None:
    await lake.catalog.list(lake.uri)
    asked = len(faults.asked)
    lake.put("a.csv")
    assert len((await lake.catalog.list(lake.uri)).manifest) == 0
    lake.catalog.hint(f"s3://{lake.name}/lakeside/a.csv")
    lake.catalog.hint("s3://another/lake//a.csv")
    await lake.catalog.list(lake.uri)
    assert len(faults.asked) == asked
    lake.catalog.hint(f"{lake.uri}/a.csv")
    listing = await lake.catalog.list(lake.uri)
    assert len(listing.manifest) == 1
    assert listing.at is not None


async def test_only_what_is_new_is_downloaded_also_after_a_broken_download(
    lake: Lake, faults: Faults
) -> None:
    for name in ("a", "b", "c"):
        lake.put(name)
    first = (await lake.catalog.list(lake.uri)).manifest.digest
    await lake.catalog.pinned(lake.uri, first)
    lake.put("d")
    lake.catalog.hint(lake.uri)
    second = (await lake.catalog.list(lake.uri)).manifest.digest
    faults.asked.clear()
    folder, _ = await lake.catalog.pinned(lake.uri, second)
    assert faults.asked == [f"/{lake.name}/lake/d"]
    assert len(list(folder.iterdir())) == 4


@pytest.mark.parametrize("times", [1, 3])
async def test_a_store_that_asks_to_slow_down_is_obeyed(
    lake: Lake, faults: Faults, times: int
) -> None:
    lake.put("a.csv")
    await lake.keys()  # whether the folders above it are tables is asked once
    faults.asked.clear()
    faults.next(503, "SlowDown", times)
    assert await lake.keys() == ["a.csv"]
    looks = 3  # two of them for whether it is a table
    assert sum("list-type" in path for path in faults.asked) == times + looks


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (503, "SlowDown", TryAgain, "limits the rate"),
        (500, "InternalError", TryAgain, "server error"),
        (403, "ExpiredToken", NeedsHuman, "have expired.*renew"),
        (400, "ExpiredToken", NeedsHuman, "have expired.*renew"),
        (403, "InvalidAccessKeyId", NeedsHuman, "AWS_ACCESS_KEY_ID"),
        (403, "AccessDenied", NeedsHuman, "allow these credentials to list"),
        (403, "RequestTimeTooSkewed", NeedsHuman, "clock is wrong"),
        (404, "NoSuchBucket", NeedsHuman, "no such bucket"),
        (301, "PermanentRedirect", NeedsHuman, "another region.*`region`"),
    ],
)
async def test_a_refusal_says_what_to_do_and_no_secret(
    lake: Lake, faults: Faults, status: int, code: str, kind: type[Failure], said: str
) -> None:
    lake.put("a.csv")
    faults.always = status, code
    with pytest.raises(kind, match=said) as caught:
        await lake.catalog.list(lake.uri)
    assert KEY["AWS_ACCESS_KEY_ID"] not in str(caught.value)
    faults.always = None
    assert await lake.keys() == ["a.csv"], "it is well again without a restart"


async def test_a_server_that_is_down_is_tried_again_and_found_when_it_is_back(
    tmp_path: Path, own_moto: Moto
) -> None:
    lake = Lake(tmp_path, own_moto, own_moto.url)
    lake.put("a.csv")
    own_moto.stop()
    with pytest.raises(TryAgain, match="cannot be reached"):
        await lake.catalog.list(lake.uri)
    own_moto.start()
    assert await lake.keys() == ["a.csv"]


async def test_where_there_are_no_certificates_the_mend_is_told(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    with pytest.raises(NeedsHuman, match="install `ca-certificates`"):
        await lake.catalog.list(lake.uri)


async def test_an_object_that_is_replaced_between_listing_and_reading_has_changed(
    lake: Lake, faults: Faults
) -> None:
    lake.put("a.csv", b"old")
    digest = (await lake.catalog.list(lake.uri)).manifest.digest

    def replace(path: str) -> None:
        if path.endswith("a.csv"):
            lake.put("a.csv", b"new")

    faults.before = replace
    with pytest.raises(ObjectChanged, match=r"a\.csv"):
        await lake.catalog.pinned(lake.uri, digest)
    faults.before = lambda _path: None
    again = (await lake.catalog.list(lake.uri)).manifest.digest
    assert again != digest, "what was kept is doubted once it is known to be gone"
    folder, _ = await lake.catalog.pinned(lake.uri, again)
    assert (folder / "a.csv").read_bytes() == b"new"


async def test_no_credentials_are_said(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NeedsHuman, match="no credentials; set AWS_ACCESS_KEY_ID"):
        await lake.catalog.list(lake.uri)


@pytest.mark.parametrize("uri", ["s3:///x", "http://b/x", "s3://b/a//b", "gs://b/../c", "s3://b//"])
def test_what_is_no_address_is_refused(uri: str) -> None:
    with pytest.raises(NeedsHuman, match=r"object store|empty parts"):
        address_of(uri)


def test_the_setting_that_fits_best_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr("controller.buckets.stores._opened", lambda _at, by: opened.append(by))
    settings = [ObjectStore(uri=uri) for uri in ("s3://lake", "s3://lake/deep/", "s3://lakeside")]
    stores = Stores(settings)
    for uri in ("s3://lake/deep/er", "s3://lake/deeper", "s3://other"):
        stores.store(uri)
    assert opened == [settings[1], settings[0], None]
