"""A container image made from this machine's files, because there may be no registry."""

import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker import DockerClient

RECIPE = 4
"""Increase it when the way the image is made changes."""
PYTHON = "/opt/python"
"""Where the image has this machine's Python."""
_LEFT_OUT = {"site-packages", "test", "tests", "__pycache__", "idlelib", "tkinter", "lib2to3"}


def make(
    client: "DockerClient",
    tag: str,
    *,
    busybox: Path | None,
    python: bool,
    packages: Path | None = None,
) -> None:
    """Make the image: with a shell and common commands (a static `busybox`), with this machine's
    Python, and with the content of one of its `site-packages` folders."""
    changes = [f"ENV PATH={PYTHON}/bin:/bin LD_LIBRARY_PATH={PYTHON}/lib", "WORKDIR /"]
    repository, _, name = tag.partition(":")
    with tempfile.NamedTemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as image:
            _lay_folders(image)
            if busybox is not None:
                _lay_tools(image, busybox)
            if python:
                _lay_python(image, packages)
        file.flush()
        client.api.import_image_from_file(
            file.name, repository=repository, tag=name, changes=changes
        )


def _lay_folders(image: tarfile.TarFile) -> None:
    for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
        about = tarfile.TarInfo(folder)
        about.type, about.mode = tarfile.DIRTYPE, mode
        image.addfile(about)
    users = b"root:x:0:0::/:/bin/sh\n"
    about = tarfile.TarInfo("etc/passwd")
    about.size, about.mode = len(users), 0o644
    image.addfile(about, BytesIO(users))


def _lay_tools(image: tarfile.TarFile, busybox: Path) -> None:
    _lay(image, busybox, "/bin/busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name != "busybox":
            about = tarfile.TarInfo(f"bin/{name}")
            about.type, about.linkname = tarfile.SYMTYPE, "busybox"
            image.addfile(about)


def _lay_python(image: tarfile.TarFile, packages: Path | None) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    inside = f"{PYTHON}/lib/{library.name}"
    linked = _libraries(program)
    for path in sorted(library.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(library).parts):
            linked |= _lay_part(image, path, f"{inside}/{path.relative_to(library)}")
    for path in sorted(packages.rglob("*")) if packages is not None else ():
        if path.is_file():
            part = path.relative_to(packages or path)
            linked |= _lay_part(image, path, f"{inside}/site-packages/{part}")
    for each in sorted(linked):
        if packages is not None and each.resolve().is_relative_to(packages):
            continue  # part of a wheel, which finds it there
        # The libraries of the interpreter may be anywhere; the loader searches these two places.
        _lay(image, each, str(each) if "ld-linux" in each.name else f"{PYTHON}/lib/{each.name}")
    for name in (program.name, "python3", "python"):
        _lay(image, program, f"{PYTHON}/bin/{name}")


def _lay_part(image: tarfile.TarFile, path: Path, name: str) -> set[Path]:
    """Add a file of Python, and return the libraries that it needs."""
    if path.suffix == ".a":
        return set()
    _lay(image, path, name)
    return _libraries(path) if ".so" in path.suffixes else set()


def _libraries(binary: Path) -> set[Path]:
    said = subprocess.run(["ldd", binary.resolve()], check=False, capture_output=True, text=True)
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
