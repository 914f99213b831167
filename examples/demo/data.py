"""What the story needs and keeps for the next time: real data and environments."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from controller.executors.requirements import Requirements
from controller.executors.virtualenvs import Virtualenvs
from specs.digests import digest

MONTHS = (1, 2, 3, 4, 5)


class Data:
    """The cache folder. Everything in it can be deleted, and is then made again."""

    def __init__(self, cache: Path, example: Path) -> None:
        self._cache = cache
        self._example = example
        listed = (example / "data-requirements.txt").read_text()
        self._tools = cache / f"data-{digest(listed.encode())[7:19]}"

    @property
    def python(self) -> Path:
        """The Python with the packages to read and replay the flights."""
        return self._tools / "bin" / "python"

    @property
    def environments(self) -> Path:
        """Headgate's environments of steps and servers, by the digest of their requirements."""
        return self._cache / "environments"

    @property
    def requirements(self) -> Requirements:
        """What the training steps and the model server import."""
        return Requirements((self._example / "requirements.txt").read_text())

    @property
    def packages(self) -> Path:
        """The `site-packages` folder in which `prepare` installed the requirements."""
        ready = Virtualenvs(self.environments).ready(self.requirements, None)
        assert ready is not None, "the data was prepared"
        return next((ready.environment / "lib").glob("python*/site-packages")).resolve()

    def month(self, number: int) -> Path:
        """The file of a real month of 2013."""
        return self._cache / "months" / f"flights-2013-{number:02}.parquet"

    def poisoned(self, number: int) -> Path:
        """The file of the same month from a broken export."""
        return self._cache / "poisoned" / f"flights-2013-{number:02}.parquet"

    def prepare(self, say: Callable[[str], None]) -> None:
        """Make what is missing. Raises CalledProcessError with the output of the tool."""
        self._cache.mkdir(parents=True, exist_ok=True)
        if not (self._tools / ".ready").exists():
            say("installing the package with the flights of 2013")
            shutil.rmtree(self._tools, ignore_errors=True)
            _uv("venv", "-q", "--python", sys.executable, str(self._tools))
            listed = str(self._example / "data-requirements.txt")
            _uv("pip", "install", "-q", "--python", str(self.python), "-r", listed)
            (self._tools / ".ready").touch()
        if not all(self.month(number).exists() for number in MONTHS):
            say("splitting the flights into months")
            months = [str(number) for number in MONTHS]
            self._bucket("months", "--out", str(self.month(1).parent), "--month", *months)
        if not self.poisoned(5).exists():
            self._bucket("poison", str(self.month(5)), str(self.poisoned(5)))
        environments = Virtualenvs(self.environments)
        if environments.ready(self.requirements, None) is None:
            say("building the environment of the training steps and the model server")
            asyncio.run(environments.get(self.requirements, None))

    def _bucket(self, *arguments: str) -> None:
        script = str(self._example / "bucket.py")
        subprocess.run([self.python, script, *arguments], check=True, capture_output=True)


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    subprocess.run([find_uv_bin(), *arguments], check=True, capture_output=True)
