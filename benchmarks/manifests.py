"""Dataset versions of 100,000 and 1,000,000 objects in S3, against a bare listing of the same.

`python -m benchmarks.manifests [OBJECTS ...]` prints seconds and peak memory, each of a process of
its own, of: obstore's listing alone, a first manifest, a look whether all of it is there still, as
after a step with `access: uri`, and a manifest again after 1 % changed.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import Row, table

BARE = """
import json, os, resource, sys, time
sys.path.insert(0, os.getcwd())
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
import obstore
store = Stores([ObjectStore(uri="s3://bench", endpoint=sys.argv[1])]).store("s3://bench/lake")
began = time.perf_counter()
count = sum(len(chunk) for chunk in obstore.list(store, "lake", chunk_size=1000))
took = time.perf_counter() - began
print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, count]))
"""

OURS = """
import asyncio, json, os, resource, sys, time
sys.path.insert(0, os.getcwd())
from pathlib import Path
from controller.buckets.catalog import Catalog
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
stores = Stores([ObjectStore(uri="s3://bench", endpoint=sys.argv[1])])
stores.store("s3://bench/lake")
began = time.perf_counter()
listing = asyncio.run(Catalog(Path(sys.argv[2]), stores).list("s3://bench/lake"))
took = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([took, peak, len(listing.manifest)]))
"""

AGAIN = """
import asyncio, json, os, resource, sys, time
sys.path.insert(0, os.getcwd())
from pathlib import Path
from controller.buckets.catalog import Catalog
from controller.buckets.stores import Stores
from controller.config.settings import ObjectStore
stores = Stores([ObjectStore(uri="s3://bench", endpoint=sys.argv[1])])
stores.store("s3://bench/lake")
[index] = (Path(sys.argv[2]) / "manifests" / "indexes").iterdir()
began = time.perf_counter()
catalog = Catalog(Path(sys.argv[2]), stores)
asyncio.run(catalog.verify_unchanged("s3://bench/lake", f"sha256:{index.name}"))
took = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([took, peak, json.loads(index.read_text())["count"]]))
"""

KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}


def main(arguments: Sequence[str] = ()) -> list[Row]:
    """The rows of the table."""
    rows = []
    for count in map(int, arguments or ("100000", "1000000")):
        with tempfile.TemporaryDirectory() as home:
            with _server(count, 0) as url:
                bare = _measured(BARE, count, url)
                first = _measured(OURS, count, url, home)
                held = _measured(AGAIN, count, url, home)
            with _server(count, count // 100) as url:
                again = _measured(OURS, count, url, home)
            segments = list(Path(home).glob("manifests/segments/*"))
            disk = sum(path.stat().st_size for path in segments) / 2**20
        print(f"{count:,} objects: {len(segments)} segments of both versions, {disk:.0f} MiB")
        against = "bare listing"
        rows += [
            Row(f"manifest of {count:,} objects", first[0], "s", against, bare[0]),
            Row(f"  again, 1 % changed, {count:,}", again[0], "s", against, bare[0]),
            Row(f"  looked at again after a step, {count:,}", held[0], "s", against, bare[0]),
            Row(f"  peak memory of that, {count:,}", held[1], "MiB", against, bare[1]),
            Row(f"  peak memory, {count:,}", first[1], "MiB", against, bare[1]),
            Row(f"  peak memory again, {count:,}", again[1], "MiB", against, bare[1]),
        ]
    return rows


def _measured(program: str, count: int, *arguments: str) -> tuple[float, float]:
    """Seconds and MiB."""
    command = [sys.executable, "-c", program, *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    took, peak, found = json.loads(out.stdout)
    assert found == count, (found, count)
    return took, peak


def _environment() -> dict[str, str]:
    return {**os.environ, **KEYS}


@contextmanager
def _server(count: int, changed: int) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.s3_pages", str(count), str(changed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


if __name__ == "__main__":
    print(table(main(sys.argv[1:])))
