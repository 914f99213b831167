"""A real Docker Engine for the tests that are marked `docker`, and an image to run in it.

The engine is the one at DOCKER_HOST or the usual socket, else one that is started for this run
alone, by `tests.engine_keeper`; one for all workers. Where there is none, these tests are skipped,
and the summary counts them.
"""

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engine_keeper import answers

if TYPE_CHECKING:
    from docker import DockerClient

KEEPER = "HEADGATE_TEST_ENGINES"
"""The variable by which workers find the keeper's folder."""
USUAL = Path("/var/run/docker.sock")
RECIPE = 2
"""Raise it when the image is made in another way."""
PYTHON = "/opt/python"
"""Where the image has this machine's own Python."""
_LEFT_OUT = {"site-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "lib2to3"}

_keeper: subprocess.Popen[bytes] | None = None


def begin() -> None:
    """Make a keeper, once for all workers; called before rights are given up."""
    global _keeper  # noqa: PLW0603 - it lives as long as the process
    if KEEPER in os.environ or os.geteuid() != 0 or shutil.which("dockerd") is None:
        return
    folder = tempfile.mkdtemp(prefix="hge-")
    os.environ[KEEPER] = folder
    # It ends when this process does, whose end of the pipe closes then.
    _keeper = subprocess.Popen(
        [sys.executable, "-S", "-m", "tests.engine_keeper", folder],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def end() -> None:
    """Let the keeper end what it started, and wait for it."""
    if _keeper is not None:
        assert _keeper.stdin is not None
        _keeper.stdin.close()
        _keeper.wait()
        del os.environ[KEEPER]


def ask_keeper(line: str) -> str:
    """`up NAME` or `down NAME SIGNAL`; skips the test where no engine can be started."""
    if KEEPER not in os.environ:
        pytest.skip("no Docker Engine: none is reachable, and only root with dockerd starts one")
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(f"{os.environ[KEEPER]}/keeper.sock")
        asking.sendall(f"{line}\n".encode())
        answer = b"".join(iter(lambda: asking.recv(4096), b"")).decode()
    if answer.startswith("no: "):
        pytest.skip(f"no Docker Engine: {answer[4:]}")
    return answer


@pytest.fixture(scope="session")
def docker_host() -> str:
    """The address of an engine; skips where there is none."""
    given = os.environ.get("DOCKER_HOST")
    if given is not None:
        return given
    return f"unix://{USUAL}" if answers(USUAL) else ask_keeper("up main")


@pytest.fixture(scope="session")
def python_image(docker_host: str) -> str:
    """The tag of an image with a shell, common commands and this machine's Python."""
    return make_image(docker_host, python=True)


def make_image(host: str, *, python: bool) -> str:
    """The tag of an image made of this machine's own files, made unless it is there.

    Without `python` it has only a shell and common commands, and is made in a moment.
    """
    from docker import DockerClient
    from docker.errors import ImageNotFound

    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no image for the Docker Engine: install busybox-static")
    made_of = f"{RECIPE} {sys.version} {Path(busybox).stat().st_size} {python}"
    tag = f"headgate-tests/base:{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    client = DockerClient(base_url=host)
    try:
        with _alone():
            try:
                client.images.get(tag)
            except ImageNotFound:
                _import(client, tag, Path(busybox), python)
    finally:
        client.close()
    return tag


def _import(client: "DockerClient", tag: str, busybox: Path, python: bool) -> None:
    changes = [f"ENV PATH={PYTHON}/bin:/bin LD_LIBRARY_PATH={PYTHON}/lib", "WORKDIR /"]
    repository, _, name = tag.partition(":")
    with tempfile.NamedTemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as image:
            _lay_tools(image, busybox)
            if python:
                _lay_python(image)
        file.flush()
        client.api.import_image_from_file(
            file.name, repository=repository, tag=name, changes=changes
        )


def _lay_tools(image: tarfile.TarFile, busybox: Path) -> None:
    for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
        about = tarfile.TarInfo(folder)
        about.type, about.mode = tarfile.DIRTYPE, mode
        image.addfile(about)
    _lay(image, busybox, "/bin/busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name != "busybox":
            about = tarfile.TarInfo(f"bin/{name}")
            about.type, about.linkname = tarfile.SYMTYPE, "busybox"
            image.addfile(about)
    users = b"root:x:0:0::/:/bin/sh\n"
    about = tarfile.TarInfo("etc/passwd")
    about.size, about.mode = len(users), 0o644
    image.addfile(about, BytesIO(users))


def _lay_python(image: tarfile.TarFile) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    linked: set[Path] = set()
    for path in sorted(library.rglob("*")):
        inside = path.relative_to(library)
        if path.is_file() and not _LEFT_OUT & set(inside.parts) and path.suffix != ".a":
            _lay(image, path, f"{PYTHON}/lib/{library.name}/{inside}")
            if path.suffix == ".so":
                linked |= _libraries(path)
    for each in sorted(linked | _libraries(program)):
        # What the interpreter is linked to may lie anywhere; the loader looks in these two.
        _lay(image, each, str(each) if "ld-linux" in each.name else f"{PYTHON}/lib/{each.name}")
    for name in (program.name, "python3", "python"):
        _lay(image, program, f"{PYTHON}/bin/{name}")


def _libraries(binary: Path) -> set[Path]:
    said = subprocess.run(["ldd", binary], capture_output=True, text=True)
    words = said.stdout.replace("=>", " ").split()
    return {Path(word) for word in words if word.startswith("/") and Path(word).exists()}


def _lay(image: tarfile.TarFile, path: Path, name: str) -> None:
    about = image.gettarinfo(str(path.resolve()), name)
    about.uid = about.gid = about.mtime = 0
    about.mode = 0o755 if about.mode & 0o100 else 0o644
    about.type, about.linkname = tarfile.REGTYPE, ""
    about.size = path.stat().st_size
    with path.open("rb") as file:
        image.addfile(about, file)


@contextmanager
def _alone() -> Iterator[None]:
    """One of all workers, and of all runs on this machine, at a time."""
    with (Path(tempfile.gettempdir()) / f"headgate-tests-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
