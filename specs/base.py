"""The base class and the common field types of the spec: frozen, strict, no unknown keys."""

import re
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from specs.globs import ROOT
from specs.names import LONGEST, PART_PATTERN, PIPELINE_PATTERN, VARIABLE_PATTERN

T = TypeVar("T")


class Spec(BaseModel):
    """A frozen value that rejects unknown keys and never converts between types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, serialize_by_alias=True, defer_build=True
    )


# YAML and JSON only have lists; a tuple keeps the value frozen.
Many = Annotated[tuple[T, ...], Field(strict=False)]

PipelineName = Annotated[str, StringConstraints(pattern=PIPELINE_PATTERN, max_length=LONGEST)]
Name = Annotated[str, StringConstraints(pattern=PART_PATTERN, max_length=LONGEST)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN, max_length=255)]
Text = Annotated[str, StringConstraints(min_length=1)]
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[^\s#]*$")]


def _stays_inside(path: str) -> str:
    bang, plain = ("!", path[1:]) if path.startswith("!") else ("", path)
    plain = plain.removeprefix("./")
    if not _is_plain(plain):
        raise ValueError(
            "expected a path below the spec's folder, with / between folders and without .."
        )
    return bang + plain


def _is_plain(path: str) -> bool:
    parts = path.removesuffix("/").split("/")
    return not {"", ".", ".."} & set(parts) and "\\" not in path and path.isprintable()


def _is_in_repository(path: str) -> str:
    plain = path.removeprefix("!")
    if plain.startswith(ROOT) and _is_plain(plain.removeprefix(ROOT)):
        return path
    try:
        return _stays_inside(path)
    except ValueError as error:
        raise ValueError(f"{error}; //path starts at the repository's root") from None


def _is_folder(path: str) -> str:
    return path if path in (".", ROOT) else _is_in_repository(path)


_SCHEMES: Final = ("s3", "gs", "az", "file")
_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


def _is_location(uri: str) -> str:
    found = _URI.fullmatch(uri)
    if found is None:
        return _is_in_repository(uri)
    if found[1] not in _SCHEMES or not found[2] or not uri.isprintable():
        raise ValueError(
            "expected s3://, gs://, az:// or file:// with a path, or a path in the repository"
        )
    if "@" in found[2].split("/")[0]:
        raise ValueError("expected a URI without credentials; the controller's own are used")
    return uri


MOST_GLOBS: Final = 100
"""The most globs in one list: each is matched against each file of the repository."""

GITHUB_ISSUE: Final = "github-issue"
"""Notifies by an issue in the pipeline's repository, in place of an address."""


def _is_address(text: str) -> str:
    if text != GITHUB_ISSUE and "://" not in text and "$" not in text:
        raise ValueError(f"expected an Apprise URL, ${{NAME}} for a secret, or {GITHUB_ISSUE}")
    return text


Address = Annotated[Text, AfterValidator(_is_address)]
_APPROVER: Final = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9-]*)(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")


def _is_approver(text: str) -> str:
    if _APPROVER.fullmatch(text) is None:
        raise ValueError("expected @person or @organisation/team")
    return text


Approver = Annotated[Text, AfterValidator(_is_approver)]
RelativePath = Annotated[Text, AfterValidator(_stays_inside)]
RepositoryPath = Annotated[Text, AfterValidator(_is_in_repository)]
"""A path or glob below the spec's folder, or from the repository's root as `//path`."""
RepositoryFolder = Annotated[Text, AfterValidator(_is_folder)]
Location = Annotated[Text, AfterValidator(_is_location)]


def _is_scalar(value: object) -> object:
    # Digests are taken of JSON, and many JSON readers limit integers to 64 bits.
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("expected a whole number of at most 64 bits, or text: quote it")
    if not isinstance(value, bool | int | float | str):
        raise ValueError("expected text, a number, true or false")  # noqa: TRY004 - pydantic's
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(_is_scalar)]
