"""What a long history costs: the same questions over 100, 10,000 and 100,000 runs in the store.

The rows are those that a controller wrote for a run of one step, repeated under other names and
spread over the last 30 days: the run, its graph, its cached result and its messages. All figures
are CPU time. Then everything is older than `keep`, and a sweep deletes it, twice: the file does not
grow beyond what 100,000 runs once took.
"""

import asyncio
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common import SPEC, Project, Row, until
from benchmarks.controller_process import ControllerProcess
from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.machine.core import Key
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from controller.wiring.controller import Controller
from controller.wiring.service import last_moment

SIZES = (100, 10_000, 100_000)
DAY = 86_400.0
SPREAD = 30 * DAY
"""Seconds in which the runs ended."""
MESSAGES = 4 * DAY
"""Seconds for which consumed messages are remembered."""
TIMES = 5
"""How often each question is asked; the median counts."""
RECONCILES = 200
"""How many times an object is loaded and saved, for the mean of one."""
KINDS = ("repository", "pipeline", "run", "environment", "stall")
SETTINGS = "home: home\nrepositories: [{name: bench, url: remote.git}]\n"
FIRST = "push-1"
ZEROS = "0" * 58
"""So that a number of six digits makes the name of a cached result."""


class Template(NamedTuple):
    """The rows of one run."""

    objects: tuple[tuple[str, str, int, str], ...]
    """Kind, name, revision and body."""
    messages: tuple[tuple[str, str, str, str, str], ...]
    """Addressee's kind and name, id, type and body."""


def template(path: Path) -> Template:
    """What the controller has left of its first run."""
    with closing(sqlite3.connect(path)) as raw:
        objects = raw.execute(
            "SELECT kind, name, revision, body FROM objects "
            "WHERE kind IN ('run', 'graph', 'cache') ORDER BY kind"
        ).fetchall()
        messages = raw.execute(
            "SELECT to_kind, to_name, id, type, body FROM messages WHERE consumed IS NOT NULL "
            "AND (to_kind = 'run' OR type = 'run_ended' OR type = 'commit_seen')"
        ).fetchall()
    return Template(tuple(objects), tuple(messages))


def fill(path: Path, rows: Template, first: int, last: int, end: float) -> None:
    """Insert the runs from `first` to `last`, of which the last ended at `end`."""
    with closing(sqlite3.connect(path)) as raw, raw:
        for number in range(first, last + 1):
            ended = end - (last - number) * SPREAD / last
            raw.executemany(
                "INSERT OR REPLACE INTO objects (kind, name, revision, body, updated, live) "
                "VALUES (?, ?, ?, ?, ?, 0)",
                [(*_object(*each, number), ended) for each in rows.objects],
            )
            if ended > end - MESSAGES:
                raw.executemany(
                    "INSERT OR IGNORE INTO messages (to_kind, to_name, id, type, body, at, "
                    "consumed) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [(*_message(*each, number), ended, ended) for each in rows.messages],
                )


def _object(kind: str, name: str, revision: int, body: str, number: int) -> tuple[Any, ...]:
    name = f"{number:06}{ZEROS}" if kind == "cache" else f"push-{number}"
    return (kind, name, revision, _renamed(body, number))


def _message(kind: str, to: str, id_: str, type_: str, body: str, number: int) -> tuple[str, ...]:
    to = f"push-{number}" if kind == "run" else to
    return (kind, to, f"{id_}/{number}", type_, _renamed(body, number))


def _renamed(body: str, number: int) -> str:
    return body.replace(FIRST, f"push-{number}").replace('"number":1,', f'"number":{number},')


class Costs(NamedTuple):
    """CPU milliseconds, by what they are for, and the size of the file in MiB."""

    cpu: Mapping[str, float]
    size: float


async def measured(root: Path, settings: Settings) -> Costs:
    """Ask every question of the state below `root`."""
    path = root / "home" / "state.db"
    cpu = {
        "start: open, clock and wake": await own(lambda: start(path)),
        "headgate up, until it runs": await asyncio.to_thread(children, lambda: up_and_down(root)),
        "headgate status": await asyncio.to_thread(children, lambda: headgate(root, "status")),
        "headgate runs": await asyncio.to_thread(children, lambda: headgate(root, "runs")),
    }
    store = await SqliteStore.open(path)
    app = Controller(settings, root, Secrets({}), store, identity="shop")
    try:
        keep = settings.keep.total_seconds() + DAY
        cpu["sweep, nothing is old"] = await own(lambda: app.sweeper.sweep(keep, time.time()))
        cpu["load and commit"] = await own(lambda: reconciles(store)) / RECONCILES
    finally:
        await app.close()
        await store.close()
    return Costs(cpu, path.stat().st_size / 2**20)


async def own(act: Callable[[], Awaitable[object]]) -> float:
    """CPU milliseconds of this process."""
    took = []
    for _ in range(TIMES):
        began = time.process_time()
        await act()
        took.append((time.process_time() - began) * 1e3)
    return statistics.median(took)


async def start(path: Path) -> None:
    """What a controller asks of the store before it reconciles anything."""
    store = await SqliteStore.open(path)
    await last_moment(store)
    for kind in KINDS:
        await store.list(kind, live=True)
    await store.outbox()
    await store.inbox()
    await store.close()


async def reconciles(store: SqliteStore) -> None:
    """Load and save one object, as each reconcile does."""
    for _ in range(RECONCILES):
        look = await store.load(Key("pipeline", "push"))
        assert look.record is not None
        record = look.record
        put = Put(key=record.key, revision=record.revision, text=record.text, live=record.live)
        await store.commit(Transaction(put=put), record.updated)


def children(act: Callable[[], None]) -> float:
    """CPU milliseconds of the processes that were started, and have ended."""
    took = []
    for _ in range(TIMES):
        before = _children()
        act()
        took.append((_children() - before) * 1e3)
    return statistics.median(took)


def headgate(root: Path, command: str) -> None:
    """Run a command as a person does."""
    words = [sys.executable, "-m", "controller.cli", command]
    subprocess.run(words, cwd=root, check=True, capture_output=True)


def up_and_down(root: Path) -> None:
    """Start a controller, and end it as soon as it runs."""
    (root / "log").unlink(missing_ok=True)
    controller = ControllerProcess(root)
    controller.start()
    while not controller.is_up():
        time.sleep(0.02)
    controller.stop()


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def swept(root: Path, settings: Settings) -> tuple[float, float]:
    """Delete all that is older than `keep`: CPU milliseconds a run, and MiB of the file."""
    store = await SqliteStore.open(root / "home" / "state.db")
    app = Controller(settings, root, Secrets({}), store, identity="shop")
    later = time.time() + 60 * DAY
    try:
        began = time.process_time()
        gone = await app.sweeper.sweep(settings.keep.total_seconds(), later)
        await app.sweeper.forget_messages(settings.keep.total_seconds(), later)
        cpu = (time.process_time() - began) * 1e3 / max(gone["stored_runs"], 1)
    finally:
        await app.close()
        await store.close()
    return cpu, (root / "home" / "state.db").stat().st_size / 2**20


async def measure(root: Path) -> list[Row]:
    """Build each history in turn, ask, and print."""
    path = root / "home" / "state.db"
    async with Project.running(root, poll=0.5) as project:
        project.commit(SPEC.format(number=1))
        await project.push()
        await until(lambda: _ended(project))
    (root / "headgate.yaml").write_text(SETTINGS)
    settings = Settings.model_validate(
        {"home": "home", "repositories": [{"name": "bench", "url": "remote.git"}]}
    )
    rows, costs, before = template(path), dict[int, Costs](), 1
    for size in SIZES:
        fill(path, rows, before + 1, size, time.time())
        costs[size], before = await measured(root, settings), size
    _show(costs)
    least, most = costs[SIZES[0]], costs[SIZES[-1]]
    table = [
        Row(f"{what}, {SIZES[-1]:,} runs", most.cpu[what], "ms", f"{SIZES[0]} runs",
            least.cpu[what], "about 1")
        for what in most.cpu
    ]  # fmt: skip
    cpu, left = await swept(root, settings)
    print(f"a sweep deletes them at {cpu:.2f} ms a run; the file has {left:.0f} MiB")
    fill(path, rows, SIZES[-1] + 1, 2 * SIZES[-1], time.time())
    _, again = await swept(root, settings)
    table.append(Row("the file after as many again, and a sweep", again, "MiB", "before", most.size,
                     "about 1"))  # fmt: skip
    return table


async def _ended(project: Project) -> bool | None:
    run = await project.run(FIRST)
    return True if run is not None and not run.live else None


def _show(costs: Mapping[int, Costs]) -> None:
    print(f"{'CPU ms':32}" + "".join(f"{size:>12,}" for size in costs))
    for what in next(iter(costs.values())).cpu:
        print(f"{what:32}" + "".join(f"{each.cpu[what]:12.2f}" for each in costs.values()))
    print(f"{'MiB of the file':32}" + "".join(f"{each.size:12.1f}" for each in costs.values()))


def main() -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
