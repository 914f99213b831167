"""PURE. What a requirements file leaves open, line by line."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from specs.loading.tree import conflict, conflict_message
from specs.projects.paths import bare, has_credentials

if TYPE_CHECKING:
    from packaging.requirements import Requirement

MOST_LINES: Final = 10
"""That are told one by one."""
_OPTION: Final = re.compile(r"(-[a-z]|--[a-z-]+)[ =]*(.*)")
_INCLUDES: Final = ("-r", "--requirement", "-c", "--constraint")
_LINKS: Final = ("-f", "--find-links")
_INDEXES: Final = ("-i", "--index-url", "--extra-index-url", *_LINKS)
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class LineProblem(NamedTuple):
    """What is wrong with a line, from 1."""

    number: int
    message: str
    is_error: bool = False
    code: str = "unpinned"


def faults(text: str, file: str) -> Iterator[LineProblem]:
    """What is wrong, in order: what cannot be built of this file alone, and what is not pinned."""
    if (message := conflict_message(text)) is not None:
        start, _ = conflict(text) or (0, 0)
        yield LineProblem(text.count("\n", 0, start) + 1, message, is_error=True, code="conflict")
        return
    told = 0
    for number, line in _lines(text.removeprefix("\ufeff")):
        fault = _option(number, line) if line.startswith("-") else _loose(number, line, file)
        if fault is None:
            continue
        told += not fault.is_error
        if fault.is_error or told <= MOST_LINES:
            yield fault
    if told > MOST_LINES:
        yield LineProblem(1, f"{told - MOST_LINES} more lines of {file} are not pinned")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines as pip reads them, each with the number of its first."""
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
                f"`{line}` is a folder, and the environment is built from this file alone: "
                "`environment: {project: .}` installs the packages of a repository",
                is_error=not value.startswith("/"),
                code="outside" if not value.startswith("/") else "unpinned",
            )
        return LineProblem(
            number, f"`-e {bare(value)}` is not pinned by a hash: what is there may change"
        )
    if name in _INCLUDES and "://" not in value and not value.startswith("/"):
        message = f"`{line}` names another file, and the environment is built from this one alone: "
        return LineProblem(number, message + "put its lines here", is_error=True, code="outside")
    if name in _LINKS and "://" not in value and not value.startswith("/"):
        message = f"`{line}` names another place, and the environment is built from this file alone"
        return LineProblem(number, message, is_error=True, code="outside")
    if name in _INDEXES and has_credentials(value):
        return LineProblem(
            number,
            f"the address {bare(value)} holds a password or a token in the repository: revoke it "
            "and take it out; with UV_INDEX in the controller's own environment it opens an index",
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
        message = f"{one.name} comes from {bare(one.url)} without a hash: what is there may change"
        return LineProblem(number, message)
    exact = [each for each in one.specifier if each.operator in ("==", "===")]
    if any("*" not in each.version for each in exact):
        return None
    source = file.rpartition("/")[2].removesuffix(".txt")
    return LineProblem(
        number,
        f"{one.name} is not pinned: a later build of the same file may differ; name it in "
        f"{source}.in, and `uv pip compile {source}.in -o {source}.txt` pins it",
    )


def _no_requirement(number: int, plain: str, why: str) -> LineProblem | None:
    """Of a line that is no name with a version: an address, or a slip."""
    if "://" in plain:
        return LineProblem(number, f"`{bare(plain)}` has no hash: what is there may change")
    if "${" in plain:  # a variable of the controller's
        return None
    return LineProblem(
        number,
        f"`{plain}` is no requirement ({why.partition(chr(10))[0]}), so nothing can be built of "
        "this file: write `name==version`",
        is_error=True,
        code="no-requirement",
    )


def _place(asked: str, one: "Requirement | None") -> str | None:
    """The folder or archive that a line names by its path; None if it names none. From a relative
    one uv and pip begin where they are started, which is no place of the commit."""
    if one is not None and one.url is not None:
        return one.url.removeprefix("file:") if "://" not in one.url else None
    path = asked.partition(";")[0].strip()
    if path.endswith(_ARCHIVES) and "://" not in path:
        return path
    return path if one is None and "://" not in path and ("/" in path or path == ".") else None


def _at_place(number: int, place: str) -> LineProblem:
    if place.startswith("/"):
        message = f"`{place}` is a place of the controller's machine: what is there may change"
        return LineProblem(number, message)
    return LineProblem(
        number,
        f"`{place}` is a place that a build does not have, as the environment is built from this "
        "file alone: `environment: {project: .}` installs the packages of a repository",
        is_error=True,
        code="outside",
    )
