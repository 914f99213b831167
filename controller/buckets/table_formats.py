"""What tells a folder that is a table from one with files."""

import re
from collections.abc import Mapping
from typing import Final, Literal

Format = Literal["delta", "iceberg"]
FORMAT_NAMES: Final[Mapping[Format, str]] = {"delta": "Delta", "iceberg": "Iceberg"}
SIGNATURES: Final[Mapping[Format, str]] = {
    "delta": "_delta_log/*.json",
    "iceberg": "metadata/*.metadata.json",
}
"""By format a glob, below the table's folder, of what it has."""
_WITHIN: Final = re.compile(r"(.*)/(?:(_delta_log)/[^/]+\.json|metadata/[^/]+\.metadata\.json)")


def table_below(key: str, where: str) -> str | None:
    """What to do about a table that lies somewhere below the folder `where`, if this key, which is
    below it, is of such a one: its files are not for a listing of keys to say."""
    found = _WITHIN.fullmatch(key)
    if found is None:
        return None
    format_: Format = "delta" if found[2] else "iceberg"
    return (
        f"{where} holds the {FORMAT_NAMES[format_]} table {found[1]}, whose log says which of its files "
        f"count: name that as the `uri`, each table as a dataset of its own"
    )
