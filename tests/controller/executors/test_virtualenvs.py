"""Environments of steps: one build per content, of local packages, without any network."""

import asyncio
import json
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from controller.executors.installer import CannotBuild
from controller.executors.requirements import Requirements
from controller.executors.virtualenvs import LOGS, Virtualenvs
from controller.machine.runs.attempt import AttemptState
from deployers.confinement import Confinement
from tests.contracts.executor import printed, run
from tests.controller.executors.site import LocalSite
from tests.rights import with_rights


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


PTH = "import sys, pathlib; pathlib.Path(sys.executable).with_name('ran').touch()\n"
"""Of a package: a line that every Python runs which looks for packages there."""
BACKEND = """
import os, zipfile
from pathlib import Path

def tried(path, do):
    try:
        return f"{path}: {do(path)}"
    except OSError as error:
        return f"{path}: {type(error).__name__}"

def build_wheel(folder, config=None, metadata=None):
    name = "nosy-1.0-py3-none-any.whl"
    said = [tried(each, lambda path: Path(path).read_text()) for each in READS]
    said += [tried(each, lambda path: Path(path).write_text("poison")) for each in WRITES]
    with zipfile.ZipFile(os.path.join(folder, name), "w") as file:
        file.writestr("nosy.py", f"said = {said!r}\\n")
        file.writestr("nosy.pth", PTH)
        file.writestr("nosy-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\\nName: nosy\\nVersion: 1.0\\n")
        file.writestr("nosy-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr("nosy-1.0.dist-info/RECORD", "nosy.py,,\\nnosy.pth,,\\n")
    return name
"""


def source(folder: Path, reads: list[str], writes: list[str]) -> None:
    """A package `nosy` that has to be built, and tries to read and write these as it is."""
    inside = folder / "nosy-1.0"
    inside.mkdir()
    (inside / "backend.py").write_text(
        f"READS = {reads!r}\nWRITES = {writes!r}\nPTH = {PTH!r}\n{BACKEND}"
    )
    (inside / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'nosy'\nversion = '1.0'\n"
    )
    (inside / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: nosy\nVersion: 1.0\n")
    with tarfile.open(folder / "nosy-1.0.tar.gz", "w:gz") as file:
        file.add(inside, "nosy-1.0")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder of packages, and requirements that find only them, over HTTP."""
    folder = tmp_path / "index"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"--no-index\n--find-links http://127.0.0.1:{server.server_port}/\n"
        server.shutdown()
        thread.join()


@pytest.fixture
def confined(tmp_path: Path, namespaces: None) -> Virtualenvs:
    """Environments whose installer is confined."""
    home = tmp_path / "environments"
    return Virtualenvs(home, Confinement((home,), kind="namespace"))


@pytest.fixture
def virtualenvs(tmp_path: Path) -> Virtualenvs:
    return Virtualenvs(tmp_path / "environments")


def says(environment: Path, *arguments: str) -> str:
    """What the environment's Python prints."""
    return subprocess.check_output([environment / "bin" / "python", *arguments], text=True)


def built(tmp_path: Path) -> list[str]:
    """The environments that stand there, whole or not, without the links that name them."""
    there = (tmp_path / "environments").iterdir()
    return [path.name for path in there if not path.is_symlink() and path.name != LOGS]


async def test_packages_are_installed_once_however_many_ask(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    wanted = Requirements(f"greeting @ {wheel(tmp_path).as_uri()}\n")
    found = await asyncio.gather(*(virtualenvs.get(wanted, None) for _ in range(4)))
    assert len(set(found)) == len(built(tmp_path)) == 1
    assert says(found[0].environment, "-c", "import greeting") == "greeting 1.0\n"
    # Whoever comes later, even in another controller, finds it.
    assert Virtualenvs(tmp_path / "environments").ready(wanted, None) == found[0]
    assert await Virtualenvs(tmp_path / "environments").get(wanted, None) == found[0]
    assert len(built(tmp_path)) == 1


async def test_other_requirements_are_another_environment(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    first = (await virtualenvs.get(Requirements(""), None)).environment
    second = (
        await virtualenvs.get(Requirements(f"greeting @ {wheel(tmp_path).as_uri()}"), None)
    ).environment
    assert first != second


async def test_without_a_wish_it_is_the_controllers_own_python(virtualenvs: Virtualenvs) -> None:
    path = (await virtualenvs.get(Requirements(""), None)).environment
    assert says(path, "-V").split()[1] == ".".join(map(str, sys.version_info[:3]))


async def test_what_cannot_be_installed_is_told_in_the_installers_words_and_leaves_nothing(
    virtualenvs: Virtualenvs, tmp_path: Path
) -> None:
    text = f"--no-index\n--find-links {tmp_path.as_uri()}\nno-such-package-of-ours==7\n"
    with pytest.raises(CannotBuild, match="no-such-package-of-ours") as failure:
        await virtualenvs.get(Requirements(text), None)
    assert "environment.requirements" in str(failure.value)
    assert built(tmp_path) == []
    assert virtualenvs.ready(Requirements(text), None) is None


async def test_an_attempt_whose_requirements_cannot_be_installed_fails_with_the_reason(
    site: LocalSite,
) -> None:
    attempt = site.attempt("true", requirements="broken.txt")
    async with site.open() as executor:
        status = await run(executor, attempt)
    assert status.state is AttemptState.FAILED
    assert "broken.txt is not in the commit" in status.message
    bad = site.attempt("true", name="bad", requirements="offline.txt")
    async with site.open() as executor:
        status = await run(executor, bad)
        assert await printed(executor, bad) == ""
    assert status.state is AttemptState.NO_ENVIRONMENT
    assert re.search("installer said: .*no-such-package-of-ours", status.message, re.DOTALL)


@pytest.mark.bwrap
async def test_what_needs_no_building_is_installed_confined(
    confined: Virtualenvs, index: tuple[Path, str]
) -> None:
    folder, requirements = index
    wheel(folder)
    found = (await confined.get(Requirements(f"{requirements}greeting\n"), None)).environment
    assert says(found, "-c", "import greeting") == "greeting 1.0\n"
    (compiled,) = found.glob("lib/*/site-packages/__pycache__/greeting.*.pyc")
    assert compiled.is_file()


@pytest.mark.bwrap
async def test_a_package_that_is_built_reads_no_secret_and_reaches_no_other_environment(
    confined: Virtualenvs, index: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, requirements = index
    cache = tmp_path / "cache"
    monkeypatch.setenv("UV_CACHE_DIR", str(cache))
    wheel(folder)
    other = (await confined.get(Requirements(f"{requirements}greeting\n"), None)).environment
    (module,) = other.resolve().glob("lib/*/site-packages/greeting.py")
    secret = tmp_path / "secrets.env"
    secret.write_text("TOKEN=hush")
    cached = list(cache.rglob("greeting.py"))
    assert cached, "it was installed by way of the cache"
    source(folder, [str(secret)], [str(each) for each in (module, *cached, folder / "x")])

    found = (await confined.get(Requirements(f"{requirements}nosy\n"), None)).environment

    assert not (found / "bin" / "ran").exists(), "to compile it, nothing of it was run"
    said = says(found, "-c", "import nosy; print(*nosy.said, sep=chr(10))").splitlines()
    assert len(said) == 3 + len(cached)
    assert all(line.endswith("Error") for line in said)
    assert says(other, "-c", "import greeting") == "greeting 1.0\n"
    assert "poison" not in cached[0].read_text()


@pytest.mark.bwrap
@pytest.mark.parametrize("line", ["-r {}", "-c {}", "{}", "-e {}"])
async def test_requirements_that_name_a_file_of_the_controllers_quote_nothing_of_it(
    confined: Virtualenvs, tmp_path: Path, line: str
) -> None:
    secret = tmp_path / "secrets.env"
    secret.write_text("TOKEN=hush-hush\n")
    with pytest.raises(CannotBuild) as failure:
        await confined.get(Requirements(f"--no-index\n{line.format(secret)}\n"), None)
    assert "hush-hush" not in str(failure.value)


@pytest.mark.bwrap
async def test_as_root_packages_are_installed_by_others_and_the_result_is_roots(
    index: tuple[Path, str], tmp_path: Path, namespaces: None
) -> None:
    folder, requirements = index
    wheel(folder)
    source(folder, ["/etc/shadow"], [str(folder)])
    given = {
        "home": str(tmp_path / "home"),
        "wanted": [f"{requirements}{name}\n" for name in ("greeting", "nosy")],
    }
    done = with_rights("tests.controller.executors.install_story", given)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    if not found:
        pytest.skip("no users of their own: root lacks a right here")
    greeting, nosy = (Path(each["path"]) for each in found)
    assert says(greeting, "-c", "import greeting") == "greeting 1.0\n"
    assert "PermissionError" in says(nosy, "-c", "import nosy; print(nosy.said)")
    assert all(each["owners"] == [0] for each in found)
