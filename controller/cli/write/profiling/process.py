"""Proposes a suite in a process of its own: whoever wrote the data is not trusted to have written
what the parsers of files can read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from controller.cli.failures import Failed
from controller.executors.workspace import headgate_programs, own_environment
from controller.queries import ADDRESS
from deployers.confinement import View, confinement
from specs.datasets import Query
from validators.data.profile.request import ProfileRequest, SuiteProposal

_MODULE: Final = "validators.data.profile"
_QUERIES: Final = "controller.queries"
_MOST_MOUNTS: Final = 50
"""Files that are given one by one; of more, their folders are."""


def propose_apart(request: ProfileRequest, home: Path) -> SuiteProposal:
    """The proposal; `home` is a folder for the process. Raises `Failed` if it ends without one."""
    own = home / "process"
    (own / "scratch").mkdir(parents=True)
    asked, target = own / "request.json", own / "proposal.json"
    asked.write_text(request.model_dump_json(), encoding="utf-8")
    view = View(own, (*headgate_programs(), *_read_by(request)), (own,))
    command = _command(_MODULE, asked, target)
    # Not as another user: whoever calls may read the data, and may be the only one.
    done = subprocess.run(
        (*confinement((home,)).within(view), *command),
        cwd=own,
        env=own_environment(own),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(f"no suite can be proposed: {_why(done.returncode, done.stderr)}")
    return SuiteProposal.model_validate_json(target.read_bytes())


def fetch_apart(dataset: str, query: Query, address: str, home: Path) -> Path:
    """The rows of a query as a Parquet file in `home`. Raises `Failed`."""
    own = home / "query"
    (own / "scratch").mkdir(parents=True)
    asked, rows = own / "request.json", own / f"{dataset}.parquet"
    asked.write_text(json.dumps({"dataset": dataset, "sql": query.sql, "version": None}))
    done = subprocess.run(
        _command(_QUERIES, asked, rows, own / "version.json"),
        cwd=own,
        env={**own_environment(own), ADDRESS: address},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Failed(_why(done.returncode, done.stderr))
    return rows


def _command(module: str, *paths: Path) -> tuple[str, ...]:
    """Nothing is imported from the working directory."""
    return (sys.executable, "-P", "-m", module, *map(str, paths))


def _read_by(request: ProfileRequest) -> tuple[Path, ...]:
    files = [Path(one.path) for one in request.objects]
    if len(files) > _MOST_MOUNTS:
        return tuple(dict.fromkeys(file.parent for file in files))
    return tuple(files)


def _why(code: int, errors: str) -> str:
    if code < 0:
        return "reading the data was killed, probably for want of memory: name fewer files"
    return (errors.strip().splitlines() or ["reading the data failed"])[-1]
