"""The logs of servers that ended, kept for whoever investigates a rollback; limited in number.

There is one folder per server, named like its process, with its last log.
"""

import shutil
from pathlib import Path

from deployers.place_folder import Site
from deployers.processes import Processes

MOST = 20
"""Logs kept per place: those of the servers that ended last."""


class EndedLogs:
    """The logs below one folder. Blocking; fast, except for `forget`."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def put_away(self, processes: Processes, site: Site, process: str) -> None:
        """Remove a process of the site that has ended, and keep its log."""
        processes.put_away(process, self._home / process)
        newest = sorted(self._of(site), key=_when, reverse=True)
        _delete(newest[MOST:])

    def forget_site(self, site: Site) -> None:
        """Delete the logs of a site."""
        _delete(self._of(site))

    def forget(self, before: float) -> int:
        """Delete logs stored before that time, in seconds since the epoch; how many."""
        return _delete([log for log in self._home.glob("*") if _when(log) < before])

    def _of(self, site: Site) -> list[Path]:
        return [log for log in self._home.glob("*") if site.owns(log.name)]


def _delete(logs: list[Path]) -> int:
    for log in logs:
        shutil.rmtree(log, ignore_errors=True)
    return len(logs)


def _when(log: Path) -> float:
    """When it was stored; 0 if it is gone."""
    try:
        return log.stat().st_mtime
    except FileNotFoundError:
        return 0.0
