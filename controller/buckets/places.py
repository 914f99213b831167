"""Where datasets are, and which files there are none of their objects."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from specs.failures import NeedsHuman
from specs.globs import ROOT

_TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".inprogress", "~")
MAGIC = "*?["


def is_relative(uri: str) -> bool:
    """Whether it is a path in the repository."""
    return uri.startswith(ROOT) or not (uri.startswith("/") or urlsplit(uri).scheme)


class DatasetPlace(NamedTuple):
    """Where a dataset is: a folder, and which paths below it belong to the dataset."""

    folder: Path
    glob: str
    committed: bool
    """Whether it is in the repository."""


def base_folder(uri: str, top: Path, folder: str) -> Path:
    """The folder that a path in the repository is relative to: the spec's or, for `//path`, the
    repository's `top`."""
    return top if uri.startswith(ROOT) else top / folder


def place_of(uri: str, repository: Path | None = None) -> DatasetPlace:
    """Parse `file:///data/flights/**/*.parquet`, `/data/flights` or a path in the repository, which
    is relative to the folder `repository` (see `base_folder`).

    A folder without a glob means everything below it. Raises `NeedsHuman` for another scheme, for
    `..`, and for a relative path without a repository.
    """
    parts = urlsplit("" if uri.startswith(ROOT) else uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise NeedsHuman(f"{uri} is not a local directory: write file:///absolute/path")
    # In a plain path `?` and `#` are literal; only URIs escape them.
    path = PurePosixPath(unquote(parts.path) if parts.scheme else uri.removeprefix(ROOT))
    if parts.scheme and not path.is_absolute():
        raise NeedsHuman(f"{uri} is not absolute: write file:///path, with three slashes")
    if ".." in path.parts or "\0" in str(path):
        raise NeedsHuman(f"{uri} contains '..': write the path without it")
    fixed = next((i for i, part in enumerate(path.parts) if set(part) & set(MAGIC)), None)
    glob = "**" if fixed is None else "/".join(path.parts[fixed:])
    folder = Path(*path.parts[:fixed]) if fixed is not None else Path(path)
    committed = not folder.is_absolute()
    if committed:
        if repository is None:
            raise NeedsHuman(f"{uri} is relative, but there is no repository: write file:///path")
        root = repository.resolve()
        folder = (root / folder).resolve()
        if not folder.is_relative_to(root):
            raise NeedsHuman(f"{uri} leads out of the repository by a symbolic link")
    return DatasetPlace(folder, glob, committed)


def explain_unmarked(marker: str | None, newest: str | None, is_marked: bool) -> str:
    """Why a dataset does not count as marked complete; empty if it does, or needs no marker.
    `newest` is the newest object, or None if there is no marker."""
    if marker is None or is_marked:
        return ""
    if newest is None:
        return f"its marker {marker} is missing"
    return f"its marker {marker} is older than {newest}"


def is_excluded(key: str, marker: str | None) -> bool:
    """Whether it is a marker or a temporary file."""
    folder = key[: key.rfind("/") + 1]
    name = key[len(folder) :]
    return is_uncommitted(folder) or name in markers_in(folder, marker) or is_temporary(name)


def is_uncommitted(folder: str) -> bool:
    """Whether all in a folder is temporary: Hadoop and Spark write to `_temporary` first."""
    return folder.startswith("_temporary/") or "/_temporary/" in folder


def markers_in(folder: str, marker: str | None) -> frozenset[str]:
    """The names of markers in a folder, whose path is empty or ends with a slash."""
    if marker is None:
        return frozenset({"_SUCCESS"})
    own = marker.removeprefix(folder)
    return frozenset({"_SUCCESS", marker, own})


def is_temporary(name: str) -> bool:
    """Whether a file is temporary, by its name: `~$book.xlsx` is a lock file of Excel."""
    return name.lower().endswith(_TEMPORARY) or name.startswith("~$")
