"""However text is stored in a file, it is one type: across files, and by name."""

import itertools
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.validators.data.reading import read
from validators.data.values.frame import frame_of, settled
from validators.data.values.type_names import answers_to

KINDS = {
    "string": pa.string(),
    "large": pa.large_string(),
    "view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "large dictionary": pa.dictionary(pa.int8(), pa.large_string()),
}


def _stored(text: str, kind: Any) -> pa.Array:
    if not pa.types.is_dictionary(kind):
        return pa.array([text], kind)
    return pa.DictionaryArray.from_arrays(
        pa.array([0], kind.index_type), pa.array([text], kind.value_type)
    )


@pytest.mark.parametrize(("one", "other"), list(itertools.product(KINDS, KINDS)))
def test_texts_are_texts(tmp_path: Path, one: str, other: str) -> None:
    files = {
        "1.parquet": {"x": _stored("a", KINDS[one])},
        "2.parquet": {"x": _stored("b", KINDS[other])},
    }
    loaded = read(tmp_path, files)
    assert loaded.checks == ()
    assert loaded.table["x"].to_pylist() == ["a", "b"]
    for name in ("str", "string", "large_string", "string_view", "object", "StringDtype"):
        assert answers_to(loaded.table["x"].type, name)
    assert str(frame_of(settled(loaded.table))["x"].dtype) == "str"
