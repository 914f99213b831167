"""PURE. Problems in a requirements file, line by line."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from specs.loading.tree import conflict, conflict_message
from specs.projects.paths import bare, has_credentials

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MOST_LINES: Final = 10
"""The most unpinned lines that are reported individually."""
_OPTION: Final = re.compile(r"(-[a-z]|--[a-z-]+)[ =]*(.*)")
_INCLUDES: Final = ("-r", "--requirement", "-c", "--constraint")
_LINKS: Final = ("-f", "--find-links")
_INDEXES: Final = ("-i", "--index-url", "--extra-index-url", *_LINKS)
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class LineProblem(NamedTuple):
    """A problem in a line; numbers count from 1."""

    number: int
    message: str
    is_error: bool = False
    code: str = "unpinned"


def faults(text: str, file: str) -> Iterator[LineProblem]:
    """The problems, in order: lines that need other files, and lines that are not pinned."""
    if (message := conflict_message(text)) is not None:
        start, _ = conflict(text) or (0, 0)
        yield LineProblem(text.count("\n", 0, start) + 1, message, is_error=True, code="conflict")
        return
    unpinned = 0
    for number, line in _lines(text.removeprefix("\ufeff")):
        fault = _option(number, line) if line.startswith("-") else _loose(number, line, file)
        if fault is None:
            continue
        unpinned += not fault.is_error
        if fault.is_error or unpinned <= MOST_LINES:
            yield fault
    if unpinned > MOST_LINES:
        yield LineProblem(1, f"{unpinned - MOST_LINES} more lines of {file} are not pinned")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines as pip reads them, each with the number of its first line."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        whole += re.sub(r"(^|\s)#.*", "", line)
        if whole.endswith("\\"):
            whole = whole[:-1] + " "
            continue
        if whole.strip():
            yield begun, whole.strip()
        begun, whole = 0, ""
    if whole.strip():
        yield begun, whole.strip()


def _option(number: int, line: str) -> LineProblem | None:
    match = _OPTION.match(line)
    name, value = (match[1], match[2]) if match else ("", "")
    if name in ("-e", "--editable"):
        if "://" not in value:
            return LineProblem(
                number,
                f"`{line}` is a folder, but the environment is built from this file alone: use "
                "`environment: {project: .}` to install packages of the repository",
                is_error=not value.startswith("/"),
                code="outside" if not value.startswith("/") else "unpinned",
            )
        return LineProblem(
            number, f"`-e {bare(value)}` is not pinned by a hash: its content may change"
        )
    if name in _INCLUDES and "://" not in value and not value.startswith("/"):
        message = f"`{line}` names another file, but the environment is built from this one alone: "
        return LineProblem(number, message + "copy its lines here", is_error=True, code="outside")
    if name in _LINKS and "://" not in value and not value.startswith("/"):
        message = f"`{line}` names a path, but the environment is built from this file alone"
        return LineProblem(number, message, is_error=True, code="outside")
    if name in _INDEXES and has_credentials(value):
        return LineProblem(
            number,
            f"the address {bare(value)} has a password or a token in the repository: revoke it, "
            "remove it, and set UV_INDEX, with the new one, in the controller's environment",
            is_error=True,
            code="credentials",
        )
    return None


def _loose(number: int, line: str, file: str) -> LineProblem | None:
    from packaging.requirements import InvalidRequirement, Requirement

    plain, hashed, _ = line.partition("--hash")
    asked = plain.partition(" --")[0].strip()
    one = None
    why = ""
    try:
        one = Requirement(asked)
    except InvalidRequirement as error:
        why = str(error)
    if (place := _place(asked, one)) is not None:
        return _at_place(number, place)
    if hashed and (one is not None or "://" in plain):
        return None
    if one is None:
        return _no_requirement(number, plain.strip(), why)
    if one.url is not None:
        if "#sha256=" in one.url or re.search(r"@[0-9a-f]{40}($|#)", one.url):
            return None
        message = f"{one.name} comes from {bare(one.url)} without a hash: its content may change"
        return LineProblem(number, message)
    exact = [each for each in one.specifier if each.operator in ("==", "===")]
    if any("*" not in each.version for each in exact):
        return None
    source = file.rpartition("/")[2].removesuffix(".txt")
    return LineProblem(
        number,
        f"{one.name} is not pinned: a later build of the same file may differ; list it in "
        f"{source}.in, and pin it with `uv pip compile {source}.in -o {source}.txt`",
    )


def _no_requirement(number: int, plain: str, why: str) -> LineProblem | None:
    """The problem of a line that is not a name with a version: an address, or an error."""
    if "://" in plain:
        return LineProblem(number, f"`{bare(plain)}` has no hash: its content may change")
    if "${" in plain:  # a variable of the controller
        return None
    return LineProblem(
        number,
        f"`{plain}` is not a requirement ({why.partition(chr(10))[0]}), so the file cannot be "
        "built: write `name==version`",
        is_error=True,
        code="no-requirement",
    )


def _place(asked: str, one: "Requirement | None") -> str | None:
    """The folder or archive that a line names by its path, or None. uv and pip resolve a relative
    path from their working folder, which has no files of the commit."""
    if one is not None and one.url is not None:
        return one.url.removeprefix("file:") if "://" not in one.url else None
    path = asked.partition(";")[0].strip()
    if path.endswith(_ARCHIVES) and "://" not in path:
        return path
    return path if one is None and "://" not in path and ("/" in path or path == ".") else None


def _at_place(number: int, place: str) -> LineProblem:
    if place.startswith("/"):
        message = f"`{place}` is on the controller's machine: its content may change"
        return LineProblem(number, message)
    return LineProblem(
        number,
        f"a build does not have `{place}`, because the environment is built from this file alone: "
        "use `environment: {project: .}` to install packages of the repository",
        is_error=True,
        code="outside",
    )
