"""The data gate beside the tools that one would take instead of it, in turns on one machine.

`python -m benchmarks.data_gate [ROWS]` runs, as a process each, from its start to its verdicts:
our gate; Great Expectations, pandera and pointblank as bare scripts, which read only the columns
that the suite names; and the same checks as one query of DuckDB and of Polars, as one would write
it by hand, which is the practical limit. All must come to the same verdicts, expectation by
expectation. They judge

- the flights: 336,776 rows and all 26 columns, 20 expectations, of which two are not met;
- a generated table of ROWS (a million, unless told), 20 expectations;
- the ranges and nulls of its whole numbers, which the footers of the files know;
- random keys, whole numbers and texts, of which none is there twice;
- 10,000 rows, where starting is all (see `warm_gate` for a process that is started already).

Then our gate judges a dataset of 100 objects of which 99 were judged before. Each figure is the
median of its rounds: CPU seconds of the process, which are what can be compared on a machine that
does other things as well; seconds; and the most memory that it had.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import gate_tables as tables
from benchmarks.common import Row

ROWS = 1_000_000
SMALL = 10_000
MANY = 5_000_000
"""Rows from which one round is enough, as the start of a process no longer matters."""
IN_MEMORY = 20_000_000
"""Rows up to which the tools are asked: they hold all rows, so 100 million take 20 GiB and more."""
OBJECTS = 100
INSTALLING = 300.0
"""Seconds after which a peer counts as one that cannot be installed."""
HERE = Path(__file__).parent
UV = Path(sys.executable).with_name("uv")
PANDERA = ("pandera[polars]==0.35.0", "pandas==3.1.1", "pyarrow==26.0.1", "polars==2.1.0")
POINTBLANK = ("pointblank==1.1.1", "polars==2.1.0", "pyarrow==26.0.1")


class Cost(NamedTuple):
    """What a process took: seconds of CPU, seconds, and its most memory in bytes."""

    cpu: float
    wall: float
    peak: float


class Peer(NamedTuple):
    """Another way to the same verdicts."""

    name: str
    script: str
    requirements: tuple[str, ...] = ()
    """What it needs in a venv of its own; without any, it is run in Headgate's."""
    arguments: tuple[str, ...] = ()
    """Of its script, after the suite and the table."""


OURS = "headgate"
DUCKDB = Peer("DuckDB, one query", "duckdb_query")
POLARS = Peer("Polars, one query", "polars_query")
QUERIES = (DUCKDB, POLARS)
TOOLS = (
    Peer("Great Expectations on pandas", "great_expectations_on_pandas"),
    Peer("pandera on pandas", "pandera_checks", PANDERA, ("pandas",)),
    Peer("pandera on Polars", "pandera_checks", PANDERA, ("polars",)),
    Peer("pointblank on Polars", "pointblank_on_polars", POINTBLANK),
)


class Table(NamedTuple):
    """Objects, and the suite that they are judged by."""

    files: Sequence[Path]
    suite: Mapping[str, object]


class Bench:
    """The folder in which everything is run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pythons: dict[tuple[str, ...], Path | None] = {(): Path(sys.executable)}

    def beside(
        self, title: str, table: Table, peers: Sequence[Peer], rounds: int
    ) -> dict[str, Cost]:
        """What each took, in turns. Prints it, and asserts that all came to the same verdicts."""
        commands = {OURS: self._gate(table)}
        for peer in peers:
            python = self._python(peer.requirements)
            if python is None:
                continue
            script = HERE / "gate_peers" / f"{peer.script}.py"
            suite, file = self._root / "suite.json", str(table.files[0])
            given = (str(script), str(suite), file, *peer.arguments)
            commands[peer.name] = [str(python), "-W", "ignore", *given]
        found: dict[str, list[Cost]] = {name: [] for name in commands}
        verdicts: dict[str, list[bool]] = {}
        for _ in range(rounds):
            for name, command in commands.items():
                cost, said = run(command)
                found[name].append(cost)
                verdicts[name] = json.loads(said) if name != OURS else self._verdicts()
        expected = verdicts[OURS]
        assert all(each == expected for each in verdicts.values()), verdicts
        costs = {name: _median(each) for name, each in found.items()}
        print(f"{title}; {len(expected)} expectations, {expected.count(False)} of them not met")
        _print(costs)
        return costs

    def growing(self, table: Table) -> tuple[Cost, Cost]:
        """What it takes to judge all objects, and to do so again when all but one are known."""
        everything, but_one = table, table._replace(files=table.files[:-1])
        cold, _ = run(self._gate(everything, {"found": str(self._root / "all.json")}))
        run(self._gate(but_one, {"found": str(self._root / "known.json")}))
        known = {"known": str(self._root / "known.json"), "found": str(self._root / "now.json")}
        new, _ = run(self._gate(everything, known))
        assert all(self._verdicts())
        return cold, new

    def _gate(self, table: Table, metrics: Mapping[str, str] | None = None) -> list[str]:
        """The command of our gate, by a request that is written for it."""
        suite = self._root / "suite.json"
        suite.write_text(json.dumps(table.suite))
        objects = [
            {"key": file.name, "path": str(file), "digest": file.name} for file in table.files
        ]
        request = {
            "dataset": "bench",
            "version": "sha256:" + "0" * 64,
            "objects": objects,
            "suite": {"path": str(suite), "origin": suite.name},
            "metrics": metrics,
        }
        asked, report = self._root / "request.json", self._root / "report.json"
        asked.write_text(json.dumps(request))
        return [sys.executable, "-m", "validators.data", str(asked), str(report)]

    def _verdicts(self) -> list[bool]:
        """Those of our gate, which has a check for each expectation, in order."""
        checks = json.loads((self._root / "report.json").read_text())["checks"]
        assert all(check["verdict"] in {"PASS", "FAIL"} for check in checks), checks
        return [check["verdict"] == "PASS" for check in checks]

    def _python(self, requirements: tuple[str, ...]) -> Path | None:
        """That of a venv with these; None if they cannot be installed, which is told."""
        if requirements not in self._pythons:
            folder = self._root / f"venv-{len(self._pythons)}"
            self._pythons[requirements] = python = folder / "bin" / "python"
            install = [str(UV), "pip", "install", "-q", "--compile-bytecode", *requirements]
            try:
                for command in (
                    [str(UV), "venv", "-q", "--python", sys.executable, str(folder)],
                    [*install, "--python", str(python)],
                ):
                    subprocess.run(command, check=True, capture_output=True, timeout=INSTALLING)
            except subprocess.SubprocessError:
                print(f"{requirements[0]} cannot be installed, and is left out")
                self._pythons[requirements] = None
        return self._pythons[requirements]


def run(command: Sequence[str]) -> tuple[Cost, str]:
    """Run it: what it took, and what it printed."""
    environ = {**os.environ, "PYTHONPATH": ""}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as where installed
    launched = [sys.executable, "-I", "-S", str(HERE / "spent.py"), *command]
    done = subprocess.run(
        launched, check=True, capture_output=True, text=True, cwd=HERE.parent, env=environ
    )
    found = json.loads(done.stdout)
    assert found["code"] == 0, done.stderr
    return Cost(found["cpu"], found["wall"], found["peak"]), found["said"]


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def _print(costs: Mapping[str, Cost]) -> None:
    """Each with its ratio against ours."""
    ours = next(iter(costs.values()))
    for name, cost in costs.items():
        of_ours = [each / mine for each, mine in zip(cost, ours, strict=True)]
        print(
            f"  {name:30}{cost.cpu:8.2f} CPU s ({of_ours[0]:5.2f}){cost.wall:8.2f} s"
            f" ({of_ours[1]:5.2f}){cost.peak / 2**20:8,.0f} MiB ({of_ours[2]:5.2f})",
            flush=True,
        )


def _rows(what: str, costs: Mapping[str, Cost], against: Mapping[str, str]) -> list[Row]:
    """Our CPU and memory against those of others, by name, each with what is aimed at."""
    ours = costs[OURS]
    rows = []
    for name, aim in against.items():
        if name in costs:
            rows.append(Row(f"data gate, {what}", ours.cpu, "CPU s", name, costs[name].cpu, aim))
            mine, theirs = ours.peak / 2**20, costs[name].peak / 2**20
            rows.append(Row(f"data gate, {what}", mine, "MiB", name, theirs))
    return rows


def _flights(bench: Bench, root: Path) -> list[Row]:
    file = root / "flights.parquet"
    try:
        tables.flights(file, root / "package")
    except subprocess.SubprocessError:
        print(f"{tables.FLIGHTS} cannot be installed: the flights are left out")
        return []
    table = Table([file], tables.flights_suite())
    costs = bench.beside("the flights, 26 columns", table, (*TOOLS, *QUERIES), 3)
    return _rows("flights", costs, {peer.name: "" for peer in (*TOOLS, *QUERIES)})


def _generated(bench: Bench, root: Path, rows: int) -> list[Row]:
    """All that is asked about the generated table."""
    rounds = 1 if rows >= MANY else 3
    size = f"{rows:,} rows"
    file = root / "data.parquet"
    tables.dataset(file, rows)
    peers = (*TOOLS, *QUERIES) if rows <= IN_MEMORY else QUERIES
    whole = bench.beside(size, Table([file], tables.suite()), peers, rounds)
    footers = bench.beside(
        f"whole numbers of {size}", Table([file], tables.footers_suite()), QUERIES, 3
    )
    file.unlink()
    aims = {TOOLS[0].name: "below 0.2" if rows >= MANY else "", **_best(whole)}
    return [
        *_rows(size, whole, aims),
        *_rows(f"footers of {size}", footers, dict.fromkeys(_best(footers), "below 1")),
    ]


def _best(costs: Mapping[str, Cost]) -> dict[str, str]:
    """The better of the queries, with what is aimed at."""
    name = min((peer.name for peer in QUERIES), key=lambda name: costs[name].cpu)
    return {name: "below 1.15"}


def _keys(bench: Bench, root: Path, rows: int) -> list[Row]:
    file = root / "keys.parquet"
    tables.keys(file, rows)
    found = []
    for column in ("number", "text"):
        title = f"{rows:,} random keys, {column}"
        table = Table([file], tables.unique_suite(column))
        costs = bench.beside(title, table, QUERIES, 1 if rows >= MANY else 3)
        found += _rows(title, costs, _best(costs))
    file.unlink()
    return found


def _growing(bench: Bench, root: Path, rows: int) -> list[Row]:
    each = rows // OBJECTS
    files = [root / f"part-{at:03}.parquet" for at in range(OBJECTS)]
    for at, file in enumerate(files):
        tables.dataset(file, each, at * each)
    found = []
    for what, suite, aim in (
        ("one new object of 100", tables.mergeable_suite(), "below 0.05"),
        ("the same, with a unique key", tables.suite(), ""),
    ):
        cold, new = bench.growing(Table(files, suite))
        print(f"{rows:,} rows, {what}")
        _print({"all": cold, "again, with one new": new})
        found.append(Row(f"data gate, {what}", new.cpu, "CPU s", "all objects", cold.cpu, aim))
    for file in files:
        file.unlink()
    return found


def _small(bench: Bench, root: Path) -> list[Row]:
    file = root / "small.parquet"
    tables.dataset(file, SMALL)
    costs = bench.beside(f"{SMALL:,} rows", Table([file], tables.suite()), (TOOLS[0], *QUERIES), 3)
    return _rows(f"{SMALL:,} rows", costs, {TOOLS[0].name: "", **_best(costs)})


def main(rows: int = ROWS) -> list[Row]:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bench = Bench(root)
        return [
            *_small(bench, root),
            *_flights(bench, root),
            *_generated(bench, root, rows),
            *_keys(bench, root, rows),
            *_growing(bench, root, rows),
        ]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
