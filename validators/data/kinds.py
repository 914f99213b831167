"""The file format of an object, by the suffix of its key. Pure."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

Kind = Literal["parquet", "csv", "tsv", "json"]

_KINDS: Final[dict[str, Kind]] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
NAMED: Final[dict[Kind, str]] = {
    "parquet": "Parquet",
    "csv": "CSV",
    "tsv": "TSV",
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
    packed: bool = False
    """Whether it is compressed with gzip."""


def form_of(key: str) -> FileFormat | str:
    """The format of the object, or why it cannot be read, with the formats that can."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(key).suffixes]
    packed = suffixes[-1:] == [".gz"]
    ending = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    kind = _KINDS.get(ending)
    if kind and not (packed and kind == "parquet"):
        return FileFormat(kind, packed)
    whole = "".join(suffixes[-2:] if packed else suffixes[-1:])
    why = (
        f"is a {whole} file, which cannot be read"
        if whole
        else "has no suffix that tells its format"
    )
    return f"{why}; readable formats: {_READABLE}; all but Parquet also as .gz"
