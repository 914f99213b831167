"""Installations by a controller with all the rights of root: `tests.rights` runs this module."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from controller.executors.requirements import Requirements
from controller.executors.virtualenvs import Virtualenvs
from deployers.confinement import confinement
from tests.controller.executors.users_story import owners


async def tell(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Where each of the environments is, and whose its files are."""
    home = Path(given["home"])
    found = confinement((home,))
    if found.kind != "users":
        return []
    virtualenvs = Virtualenvs(home / "environments", found)
    paths = [
        (await virtualenvs.get(Requirements(text), None)).environment for text in given["wanted"]
    ]
    shutil.rmtree(home / "environments" / ".cache")  # nobody else here may delete it
    return [{"path": str(path), "owners": owners(path.resolve())} for path in paths]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tell(json.load(sys.stdin)))))
