"""What only the watched directories have: reading is no change, and watches can run out."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from controller.sources.bucket import BucketSource
from tests.contracts.source import hint


async def test_reading_the_data_hints_at_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("x")
    source = BucketSource("fares", [tmp_path], 3600.0, debounce=0.01)
    keys = source.keys()
    await hint(keys)
    waiting = asyncio.ensure_future(hint(keys))
    await asyncio.sleep(0.05)  # lets the source wait; the order of events decides, not this time
    for _ in range(20):
        assert (tmp_path / "a.parquet").read_text() == "x"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0.3)
    (tmp_path / "b.parquet").write_text("y")
    assert str(await waiting) == "pipeline/fares"


async def test_a_folder_that_is_made_after_the_start_waits_for_no_poll(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    source = BucketSource("fares", [lake], 3600.0, debounce=0.01, fallback_interval=3600.0)
    keys = source.keys()
    await hint(keys)
    assert "cannot be watched" in (source.problem or "")
    waiting = asyncio.ensure_future(hint(keys))
    (lake / "day=1").mkdir(parents=True)
    await waiting
    assert source.problem is None
    waiting = asyncio.ensure_future(hint(keys))
    (lake / "day=1" / "a.csv").write_text("x")
    await waiting


_WITHOUT_FILE_HANDLES = """
import asyncio, os, resource, sys
from pathlib import Path
import structlog
from controller.sources.bucket import BucketSource

async def main():
    source = BucketSource("fares", [Path(sys.argv[1])], 3600.0, fallback_interval=0.05)
    keys = source.keys()
    await asyncio.to_thread(structlog.get_logger().info, "all that is imported late is here now")
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest + 10))
    held = []
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    print([str(await anext(keys)) for _ in range(3)])
    print(source.problem)
    await keys.aclose()

asyncio.run(main())
"""


def test_without_watches_it_polls_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_FILE_HANDLES, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        timeout=60,
    )
    assert "['pipeline/fares', 'pipeline/fares', 'pipeline/fares']" in done.stdout, done.stderr
    assert "raise `ulimit -n`" in done.stdout
    assert "polling instead of watching" in done.stdout + done.stderr
