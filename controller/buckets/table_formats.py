"""How a folder that is a table is recognised."""

import re
from collections.abc import Mapping
from typing import Final, Literal

Format = Literal["delta", "iceberg"]
FORMAT_NAMES: Final[Mapping[Format, str]] = {"delta": "Delta", "iceberg": "Iceberg"}
SIGNATURES: Final[Mapping[Format, str]] = {
    "delta": "_delta_log/*.json",
    "iceberg": "metadata/*.metadata.json",
}
"""For each format, a glob below the folder that only a table of it matches."""
_WITHIN: Final = re.compile(r"(.*)/(?:(_delta_log)/[^/]+\.json|metadata/[^/]+\.metadata\.json)")


def may_hold_log(below: str) -> bool:
    """Whether `table_below` may find something for a key directly in this folder, whose path ends
    with a slash."""
    return below.endswith(("/_delta_log/", "/metadata/"))


def table_below(key: str, where: str) -> str | None:
    """If this key, below the folder `where`, belongs to a table further down: a message that says
    to name that table instead, as only its log says which of its files are live."""
    found = _WITHIN.fullmatch(key)
    if found is None:
        return None
    format_: Format = "delta" if found[2] else "iceberg"
    return (
        f"{where} contains the {FORMAT_NAMES[format_]} table {found[1]}, whose log says which of "
        "its files are live: make each table a dataset of its own, with its folder as the `uri`"
    )
