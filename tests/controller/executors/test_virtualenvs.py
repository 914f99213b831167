"""Environments of steps: one build per content, of local packages, without any network."""

import asyncio
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from controller.executors.installing import CannotBuild
from controller.executors.virtualenvs import Virtualenvs
from controller.machine.runs.attempt import State
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite


def wheel(folder: Path, version: str = "1.0") -> Path:
    """A package `greeting`, as a wheel: a zip with three files of metadata."""
    path = folder / f"greeting-{version}-py3-none-any.whl"
    about = f"greeting-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("greeting.py", f'print("greeting {version}")\n')
        file.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n"
        )
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "greeting.py,,\n")
    return path


@pytest.fixture
def virtualenvs(tmp_path: Path) -> Virtualenvs:
    return Virtualenvs(tmp_path / "environments")


def says(environment: Path, *arguments: str) -> str:
    """What the environment's Python prints."""
    return subprocess.check_output([environment / "bin" / "python", *arguments], text=True)


def built(tmp_path: Path) -> list[str]:
    """The environments that stand there, whole or not, without the links that name them."""
    return [path.name for path in (tmp_path / "environments").iterdir() if not path.is_symlink()]


async def test_packages_are_installed_once_however_many_ask(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    text = f"greeting @ {wheel(tmp_path).as_uri()}\n"
    found = await asyncio.gather(*(virtualenvs.get(text, None) for _ in range(4)))
    assert len(set(found)) == len(built(tmp_path)) == 1
    assert says(found[0], "-c", "import greeting") == "greeting 1.0\n"
    # Whoever comes later, even in another controller, finds it.
    assert Virtualenvs(tmp_path / "environments").ready(text, None) == found[0]
    assert await Virtualenvs(tmp_path / "environments").get(text, None) == found[0]
    assert len(built(tmp_path)) == 1


async def test_other_requirements_are_another_environment(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    first = await virtualenvs.get("", None)
    second = await virtualenvs.get(f"greeting @ {wheel(tmp_path).as_uri()}", None)
    assert first != second


async def test_without_a_wish_it_is_the_controllers_own_python(virtualenvs: Virtualenvs) -> None:
    path = await virtualenvs.get("", None)
    assert says(path, "-V").split()[1] == ".".join(map(str, sys.version_info[:3]))


async def test_what_cannot_be_installed_is_told_in_the_installers_words_and_leaves_nothing(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    text = f"--no-index\n--find-links {tmp_path.as_uri()}\nno-such-package-of-ours==7\n"
    with pytest.raises(CannotBuild, match="no-such-package-of-ours") as failure:
        await virtualenvs.get(text, None)
    assert "environment.requirements" in str(failure.value)
    assert built(tmp_path) == []
    assert virtualenvs.ready(text, None) is None


async def test_an_attempt_whose_requirements_cannot_be_installed_fails_with_the_reason(
    site: LocalSite,
) -> None:
    attempt = site.attempt("true", requirements="broken.txt")
    async with site.open() as executor:
        status = await run(executor, attempt)
    assert status.state is State.FAILED
    assert "broken.txt is not in the commit" in status.message
    bad = site.attempt("true", name="bad", requirements="offline.txt")
    async with site.open() as executor:
        status = await run(executor, bad)
        assert await printed(executor, bad) == ""
    assert status.state is State.FAILED
    assert re.search("installer said: .*no-such-package-of-ours", status.message, re.DOTALL)
