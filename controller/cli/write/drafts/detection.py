"""PURE. Finds the data, its suite, and the environment of the steps by file names."""

import tomllib
from pathlib import PurePosixPath

from controller.cli.write.drafts.values import Data, Folder
from specs.projects.values import LOCKS

DATA = (".parquet", ".csv")
_SUITES = ("expectation", "suite", ".odcs.")


def data_of(folder: Folder) -> Data:
    """The data to train on."""
    if folder.beside is not None and folder.beside.datasets:
        known = next(iter(folder.beside.datasets.values()))
        return Data(known.uri, None, known.suite_file)
    suite = _suite(folder)
    for ending in DATA:
        for file in folder.files:
            if file.endswith(ending) and not file.startswith(("tests/", "test/")):
                parent = PurePosixPath(file).parent.as_posix()
                uri, only = _glob(folder, "" if parent == "." else parent, ending)
                return Data(uri, only, suite)
    shared = data_of(folder.around) if folder.around is not None else None
    if shared is not None and shared.uri is not None and "://" not in shared.uri:
        return Data(f"//{shared.uri}", shared.file, suite)
    return Data(None, None, suite)


def glob_of(folder: Folder, path: str) -> tuple[str | None, str | None]:
    """The address of the data at a path, and the file name if it is one file; None if nothing is
    there."""
    below = folder.below(path)
    if path in folder.known:
        parent = PurePosixPath(path).parent.as_posix()
        uri, _ = _glob(folder, "" if parent == "." else parent, PurePosixPath(path).suffix)
        return uri, PurePosixPath(path).name
    if below:
        endings = {PurePosixPath(file).suffix for file in below if not file.endswith(".gitignore")}
        if len(endings) == 1:
            return _glob(folder, path, endings.pop())[0], None
        return _address(folder, f"{path}/**", below[0]), None
    return None, None


def _glob(folder: Folder, parent: str, ending: str) -> tuple[str, str | None]:
    """A glob for the files with a suffix in a folder, and the file name if there is only one."""
    parts = parent.split("/") if parent else []
    flat = [part for part in parts if "=" not in part]  # above the partitions
    above = "/".join(parts[: len(flat)] if parts[: len(flat)] == flat else flat)
    prefix = f"{above}/" if above else ""
    is_deep = above != parent
    files = [file for file in folder.files if file.startswith(prefix) and file.endswith(ending)
             and (is_deep or "/" not in file[len(prefix):])]  # fmt: skip
    glob = f"{prefix}{'**/' if is_deep else ''}*{ending}"
    only = files[0][len(prefix) :] if len(files) == 1 else None
    return _address(folder, glob, files[0] if files else glob), only


def _address(folder: Folder, glob: str, file: str) -> str:
    """The URI of files. Files that git ignores are not in the commit, so it names the folder."""
    return f"file://./{glob}" if folder.is_ignored(file) else glob


def _suite(folder: Folder) -> str | None:
    for file in folder.files:
        is_text = PurePosixPath(file).suffix in (".yaml", ".yml", ".json")
        if is_text and any(word in file.lower() for word in _SUITES):
            return file
    return None


def environment_of(folder: Folder) -> tuple[str | None, str]:
    """The `environment` of a spec, and the comment for it."""
    if folder.beside is not None and folder.beside.environment.requirements is not None:
        return (
            f'{{requirements: "{folder.beside.environment.requirements}"}}',
            "the same as in the other spec",
        )
    requirements = folder.named("requirements.txt", "requirements.lock")
    locked = next((lock for lock in LOCKS if lock in folder.known), None)
    if locked is not None and (locked != "environment.yml" or not requirements):
        return "{project: .}", f"guessed: from {locked}"
    if requirements is not None:
        return f'{{requirements: "{requirements}"}}', "built once per content"
    if _is_project(folder.read("pyproject.toml")):
        return None, "TODO: lock the project, for example with `uv lock`; then use {project: .}"
    if folder.around is not None:
        shared, said = environment_of(folder.around)
        if shared is not None and shared.startswith('{requirements: "'):
            return shared.replace('"', '"//', 1), said
    if "Dockerfile" in folder.known:
        return "{build: .}", "guessed: the image of the Dockerfile"
    return None, "built once per content"


def _is_project(text: str | None) -> bool:
    try:
        found = tomllib.loads(text or "")
    except tomllib.TOMLDecodeError:
        return False
    tools = found.get("tool", {})
    return "dependencies" in found.get("project", {}) or "poetry" in tools
