"""Container images made from this machine's files, because there may be no registry."""

import json
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from docker import DockerClient

RECIPE = 5
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
    packages: Sequence[tuple[str, Path]] = (),
    command: Sequence[str] = (),
) -> None:
    """Make the image: with a shell and common commands (a static `busybox`), with this machine's
    Python, with `packages` in its `site-packages` folder, and with a command of its own."""
    changes = [f"ENV PATH={PYTHON}/bin:/bin LD_LIBRARY_PATH={PYTHON}/lib", "WORKDIR /"]
    if command:
        changes.append(f"CMD {json.dumps(command)}")
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


def all_of(folder: Path) -> list[tuple[str, Path]]:
    """The files of a `site-packages` folder, for `make`."""
    return [(f"{p.relative_to(folder)}", p) for p in sorted(folder.rglob("*")) if p.is_file()]


def installed(*names: str) -> Iterator[tuple[str, Path]]:
    """The files of these distributions, as they are installed here, and of all that they need."""
    seen: dict[str, Distribution] = {}
    ahead = list(names)
    while ahead:
        name = canonicalize_name(ahead.pop())
        if name in seen:
            continue
        seen[name] = found = distribution(name)
        needs = [Requirement(line) for line in found.requires or ()]
        ahead += [
            one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    for found in seen.values():
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                yield f"{file}", Path(f"{found.locate_file(file)}")


def _lay_folders(image: tarfile.TarFile) -> None:
    for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
        about = tarfile.TarInfo(folder)
        about.type, about.mode = tarfile.DIRTYPE, mode
        image.addfile(about)
    users = b"root:x:0:0::/:/bin/sh\n"
    about = tarfile.TarInfo("etc/passwd")
    about.size, about.mode = len(users), 0o644
    image.addfile(about, BytesIO(users))
    # Without any, some libraries do not even speak HTTP.
    _lay(image, Path(certifi.where()), "etc/ssl/certs/ca-certificates.crt")


def _lay_tools(image: tarfile.TarFile, busybox: Path) -> None:
    _lay(image, busybox, "/bin/busybox")
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name != "busybox":
            about = tarfile.TarInfo(f"bin/{name}")
            about.type, about.linkname = tarfile.SYMTYPE, "busybox"
            image.addfile(about)


def _lay_python(image: tarfile.TarFile, packages: Sequence[tuple[str, Path]]) -> None:
    library = Path(sysconfig.get_path("stdlib"))
    program = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    inside = f"{PYTHON}/lib/{library.name}"
    own = [
        (f"{path.relative_to(library)}", path)
        for path in sorted(library.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(library).parts)
    ]
    parts = [*own, *((f"site-packages/{name}", path) for name, path in packages)]
    for name, path in parts:
        if path.suffix != ".a":
            _lay(image, path, f"{inside}/{name}")
    linked = _libraries(program, *(path for _, path in parts if ".so" in path.suffixes))
    wheels = {path.resolve() for _, path in packages}
    for each in sorted(linked):
        if each.resolve() in wheels:
            continue  # which finds it there
        # The libraries of the interpreter may be anywhere; the loader searches these two places.
        _lay(image, each, str(each) if "ld-linux" in each.name else f"{PYTHON}/lib/{each.name}")
    for name in (program.name, "python3", "python"):
        _lay(image, program, f"{PYTHON}/bin/{name}")


def _libraries(*binaries: Path) -> set[Path]:
    """The libraries that the loader finds for them."""
    asked = ["ldd", *(str(each.resolve()) for each in binaries)]
    said = subprocess.run(asked, check=False, capture_output=True, text=True)
    words = said.stdout.replace("=>", " ").split()
    return {Path(word) for word in words if word.startswith("/") and Path(word).exists()}


def _lay(image: tarfile.TarFile, path: Path, name: str) -> None:
    about = image.gettarinfo(str(path.resolve()), name)
    about.uid = about.gid = 0  # and the time it has: byte code is of a source of that time
    about.mode = 0o755 if about.mode & 0o100 else 0o644
    about.type, about.linkname = tarfile.REGTYPE, ""
    about.size = path.stat().st_size
    with path.open("rb") as file:
        image.addfile(about, file)
