"""A dataset of very many objects, listed by a process of its own whose memory is looked at."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.servers.rclone import KEY, Rclone

pytestmark = [pytest.mark.s3, pytest.mark.timeout(600)]

OBJECTS = int(os.environ.get("OBJECTS", "200000"))
"""How many; `make test-s3 OBJECTS=1000000` for a million."""
BELOW = 1000
"""Of them in one folder."""
MOST = 64.0
"""MiB that a listing may take beyond what it takes for a thousand objects."""

LIST = """
import asyncio, json, resource, sys
from pathlib import Path
from controller.buckets.catalog import Catalog
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
url, home, uri = sys.argv[1:]
catalog = Catalog(Path(home), Stores([ObjectStore(uri="s3://bucket", endpoint=url)]))
manifest = asyncio.run(catalog.list(uri)).manifest
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([len(manifest), manifest.digest, peak]))
"""


def listed(url: str, home: Path, uri: str) -> tuple[int, str, float]:
    """Objects, version and the most memory, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", LIST, url, home, uri],
        capture_output=True, text=True, check=False, env={**os.environ, **KEY},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, version, peak = json.loads(done.stdout)
    return count, version, peak


def test_a_dataset_of_very_many_objects_is_listed_whole_in_bounded_memory(
    rclone_home: Path, tmp_path: Path
) -> None:
    lake = rclone_home / "lake"
    folders = OBJECTS // BELOW
    for number in range(folders):
        folder = lake / "bucket" / "lake" / f"{number:04}"
        folder.mkdir(parents=True)
        first = folder / "0000.csv"
        first.write_text("1")
        for name in range(1, BELOW):
            os.link(first, folder / f"{name:04}.csv")  # a million files of their own take 4 GB
    uri = "s3://bucket/lake"
    with closing(Rclone(rclone_home, lake)) as server:
        few = listed(server.url, tmp_path / "few", f"{uri}/0000")
        one = listed(server.url, tmp_path / "many", uri)
        again = listed(server.url, tmp_path / "many", uri)  # in parts, at the same time
    (lake / "bucket" / "lake" / "0001" / "0001.csv").unlink()
    with closing(Rclone(rclone_home, lake)) as server:
        changed = listed(server.url, tmp_path / "many", uri)
    assert few[0] == BELOW
    assert one[:2] == again[:2]
    assert (one[0], changed[0]) == (OBJECTS, OBJECTS - 1)
    assert changed[1] != one[1]
    assert max(one[2], again[2], changed[2]) < few[2] + MOST
