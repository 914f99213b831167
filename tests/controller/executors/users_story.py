"""Attempts in a controller that has all the rights of root: `tests.rights` runs this module.

Asked for a place and attempts, one after the other, it tells how each ended, what it printed, and
whose the files are that it left.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.confinement import confinement
from deployers.warm_client import USAGE
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite


def owners(folder: Path) -> list[int]:
    """The users that have something below a folder."""
    found = {path.lstat().st_uid for path in folder.rglob("*")} if folder.exists() else set()
    return sorted(found)


async def tell(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Run them, each to its end."""
    kind = confinement(()).kind
    if kind != "users":
        return []
    site = LocalSite(Path(given["root"]), Path(given["team"]), given["commit"], kind=kind)
    found = []
    async with site.open() as executor:
        for each in given["attempts"]:
            attempt = Attempt.model_validate(each)
            status = await run(executor, attempt)
            own = site.workspace.folder(attempt.id)
            warm = (own / "scratch" / USAGE).exists()
            stored = {}
            if status.state is AttemptState.SUCCEEDED and attempt.outputs:
                stored = {
                    name: await site.stored(digest)
                    for name, digest in (await executor.collect(attempt)).items()
                }
            outputs = owners(own / "outputs")
            said = await printed(executor, attempt)
            told = {"state": status.state, "said": said, "owners": outputs, "warm": warm}
            found.append({**told, "stored": stored})
    for path in (site.folder, *site.folder.rglob("*")):
        os.chown(path, os.getuid(), os.getgid())  # else nobody may delete it
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tell(json.load(sys.stdin)))))
