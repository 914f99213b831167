"""The file format of an object, by the suffix of its key. Pure."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

Kind = Literal["parquet", "orc", "arrow", "csv", "tsv", "txt", "json"]
Packing = Literal["gzip", "zstd"]

_KINDS: Final[dict[str, Kind]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".orc": "orc",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".ipc": "arrow",
    ".feather": "arrow",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
_PACKINGS: Final[dict[str, Packing]] = {".gz": "gzip", ".zst": "zstd"}
TYPED: Final[frozenset[Kind]] = frozenset({"parquet", "orc", "arrow"})
"""The formats that say the types of columns. They compress within themselves."""
NAMED: Final[dict[Kind, str]] = {
    "parquet": "Parquet",
    "orc": "ORC",
    "arrow": "Arrow or Feather",
    "csv": "CSV",
    "tsv": "TSV",
    "txt": "text with a declared delimiter",
    "json": "JSON lines or a JSON array",
}
_READABLE: Final = "; ".join(
    f"{name} ({', '.join(ending for ending, of in _KINDS.items() if of == kind)})"
    for kind, name in NAMED.items()
)


@dataclass(frozen=True)
class FileFormat:
    """The format of an object."""

    kind: Kind
    packed: Packing | None = None
    """How the whole file is compressed, beside what the format does itself."""


def form_of(key: str) -> FileFormat | str:
    """The format of the object, or why it cannot be read, with the formats that can."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(key).suffixes]
    packed = _PACKINGS.get("".join(suffixes[-1:]))
    kind = _KINDS.get("".join(suffixes[-2:-1] if packed else suffixes[-1:]))
    if kind and not (packed and kind in TYPED):
        return FileFormat(kind, packed)
    whole = "".join(suffixes[-2:] if packed else suffixes[-1:])
    why = (
        f"is a {whole} file, which cannot be read"
        if whole
        else "has no suffix that tells its format"
    )
    return f"{why}; readable formats: {_READABLE}; the texts among them also as .gz and .zst"


def has_types(key: str) -> bool:
    """Whether the object's format says the types of columns; also true if it cannot be read."""
    form = form_of(key)
    return isinstance(form, str) or form.kind in TYPED
