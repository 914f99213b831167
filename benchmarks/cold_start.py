"""The whole process of `headgate --help`, against an interpreter that does nothing."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common import Row

ROUNDS = 20
HELP = (str(Path(sys.executable).with_name("headgate")), "--help")
NOTHING = (sys.executable, "-c", "pass")


def seconds(command: tuple[str, ...]) -> float:
    """How long one process takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> list[Row]:
    """Measure and print."""
    pairs = [(seconds(HELP), seconds(NOTHING)) for _ in range(ROUNDS)]  # in turns
    ours, bare = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    print(f"headgate --help {ours:.0f} ms, python -c pass {bare:.0f} ms, medians of {ROUNDS}")
    return [
        Row("headgate --help", ours, "ms", "python -c pass", bare),
        Row("headgate --help", ours, "ms", "the aim", 150.0, "below 1"),
    ]


if __name__ == "__main__":
    main()
