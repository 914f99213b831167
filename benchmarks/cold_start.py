"""What commands cost before and beside their work: the whole process, against an interpreter that
does nothing."""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common import SPEC, Row
from controller.store.sqlite import SqliteStore

ROUNDS = 20
HEADGATE = str(Path(sys.executable).with_name("headgate"))
NOTHING = (sys.executable, "-c", "pass")
COMMANDS = ("validate", "plan", "status", "run")
"""Commands on one small pipeline that has run, and a state without one. The first call of each
compiles its modules, and the first `run` runs the step."""
GIT = ("git", "-c", "user.name=Bench", "-c", "user.email=bench@example.org")


def seconds(command: Sequence[str]) -> float:
    """How long one process takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def cpu(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> float:
    """Seconds of user and system time of a command and the processes it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


async def _state(home: Path) -> None:
    await (await SqliteStore.open(home / "state.db")).close()


def commands(root: Path) -> list[Row]:
    """What each of `COMMANDS` costs."""
    work = root / "work"
    work.mkdir()
    (root / "home").mkdir()
    (work / "ml-pipeline.yaml").write_text(SPEC.format(number=1))
    (work / "headgate.yaml").write_text(
        f"home: {root / 'home'}\nrepositories: [{{name: team, url: {work}}}]\n"
    )
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "measure")):
        subprocess.run((*GIT, *arguments), cwd=work, check=True)
    asyncio.run(_state(root / "home"))
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows = []
    for name in COMMANDS:
        command = (HEADGATE, name)
        cpu(command, work, environ)
        pairs = [(cpu(command, work, environ), cpu(NOTHING, work, environ)) for _ in range(ROUNDS)]
        ours, bare = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"headgate {name} {ours * 1e3:.0f} ms of CPU, python -c pass {bare * 1e3:.0f} ms")
        rows.append(Row(f"headgate {name}", ours * 1e3, "ms CPU", "python -c pass", bare * 1e3))
    return rows


def main() -> list[Row]:
    """Measure and print."""
    pairs = [(seconds((HEADGATE, "--help")), seconds(NOTHING)) for _ in range(ROUNDS)]  # in turns
    ours, bare = (statistics.median(times) * 1e3 for times in zip(*pairs, strict=True))
    print(f"headgate --help {ours:.0f} ms, python -c pass {bare:.0f} ms, medians of {ROUNDS}")
    with tempfile.TemporaryDirectory() as name:
        rows = commands(Path(name))
    return [
        Row("headgate --help", ours, "ms", "python -c pass", bare),
        Row("headgate --help", ours, "ms", "the aim", 150.0, "below 1"),
        *rows,
    ]


if __name__ == "__main__":
    main()
