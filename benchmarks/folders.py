"""A folder of 100,000 small files listed, against a bare walk of it, and a walk that hashes.

`python -m benchmarks.folders [FILES ...]` prints CPU seconds and peak memory of processes of their
own, from after their imports: `os.scandir` with a `stat` of each file, the same with its SHA-256, a
first listing, one with nothing changed, and one with a new file. Each is run `TIMES` times, and the
least counts, as other processes only ever add to it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import Row, table

TIMES = 2
AIM = 1.3
"""How many times the bare walk, or the hashing one, a listing may cost."""
MOST = 100.0
"""MiB that an unchanged listing may take."""

_MEASURED = """
import asyncio, hashlib, os, re, sys, time
sys.path.insert(0, os.getcwd())
from pathlib import Path
folder, home = sys.argv[1:]
{prepare}
began = time.process_time()
{work}
took = time.process_time() - began
# Not `ru_maxrss`, which begins with that of the process that started this one.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(took, int(peak[1]) / 1024)
"""

_WALK = """
waiting = [folder]
while waiting:
    with os.scandir(waiting.pop()) as entries:
        for entry in entries:
            if entry.is_dir():
                waiting.append(entry.path)
            else:
                entry.stat()
{each}
"""

_HASH = """
                with open(entry.path, "rb") as file:
                    hashlib.sha256(file.read()).hexdigest()
"""

BARE = _MEASURED.format(prepare="", work=_WALK.format(each=""))
HASHED = _MEASURED.format(prepare="", work=_WALK.format(each=_HASH))
OURS = _MEASURED.format(
    prepare="from controller.buckets.catalog import Catalog\ncatalog = Catalog(Path(home))",
    work="asyncio.run(catalog.list(folder))",
)


def main(arguments: Sequence[str] = ()) -> list[Row]:
    """The rows of the table."""
    rows = []
    for count in map(int, arguments or ("100000",)):
        for shape, folders in (("in one folder", 1), ("in 100 folders", 100)):
            with tempfile.TemporaryDirectory() as name:
                rows += _listed(Path(name), count, folders, f"{count:,} files {shape}")
    return rows


def _listed(top: Path, count: int, folders: int, what: str) -> list[Row]:
    lake = top / "lake"
    for number in range(folders):
        (lake / f"day={number:03}").mkdir(parents=True)
    for number in range(count):
        part = lake / f"day={number % folders:03}" / f"part-{number:06}.csv"
        part.write_text(f"a,b\n{number},1\n")
    _measured(BARE, lake, top)  # so that all of it is in memory
    firsts, hashes, bares, sames, news = [], [], [], [], []
    for attempt in range(TIMES):
        home = top / f"home-{attempt}"
        hashes.append(_measured(HASHED, lake, home))
        firsts.append(_measured(OURS, lake, home))
        bares.append(_measured(BARE, lake, home))
        sames.append(_measured(OURS, lake, home))
        (lake / f"new-{attempt}.csv").write_text("a,b\n")
        news.append(_measured(OURS, lake, home))
    bare, hashed, first, same, new = map(min, (bares, hashes, firsts, sames, news))
    aim = f"at most {AIM:g} times"
    return [
        Row(f"{what}: first", first[0], "CPU s", "walk and hash", hashed[0], aim),
        Row("  unchanged", same[0], "CPU s", "walk with stat", bare[0], aim),
        Row("  one new", new[0], "CPU s", "walk with stat", bare[0]),
        Row("  peak memory, first", first[1], "MiB", "walk and hash", hashed[1]),
        Row("  peak memory, unchanged", same[1], "MiB", "the aim", MOST),
    ]


def _measured(program: str, folder: Path, home: Path) -> tuple[float, float]:
    """CPU seconds and MiB."""
    command = [sys.executable, "-c", program, str(folder), str(home)]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    took, peak = map(float, out.stdout.split())
    return took, peak


if __name__ == "__main__":
    print(table(main(sys.argv[1:])))
