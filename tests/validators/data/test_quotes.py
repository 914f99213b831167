"""A quote that is not closed makes rows disappear within a value: its line is told."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.csv_files import CsvFiles
from tests.validators.data.reading import packed, read
from validators.data.reading.formats import quotes
from validators.verdict import Verdict

OPEN: list[tuple[str, int]] = [
    ('x,y\na,1\nb,"2\n', 3),
    ('x,y\na,"1\nb,2\nc,"3"\nd,4\n', 2),
    ('x,y\na,"1\nb,"2\nc,3\n', 2),
    ('x,"y\na,1\n', 1),
    ('x,y\n"a\n\nb",1\n"c"d,2\n"e', 6),
    ('x\n"' + "a" * 200_000 + "\n", 2),
]


@pytest.mark.parametrize("key", ["a.csv", "a.csv.zst"])
@pytest.mark.parametrize(("text", "line"), OPEN, ids=lambda case: repr(case)[:20])
def test_a_quote_that_is_not_closed_names_its_line(
    text: str, line: int, key: str, tmp_path: Path
) -> None:
    (check,) = read(tmp_path, {key: packed(text.encode(), key)}).checks
    assert check.verdict is Verdict.FAIL
    assert check.message == f"`{key}` has a quote in line {line} that is not closed"


def test_lines_are_counted_from_the_start_of_the_file(tmp_path: Path) -> None:
    (check,) = read(tmp_path, {"a.csv": '"\nx,y\na,"1\n'}, csv=CsvFiles(skip_rows=1)).checks
    assert "in line 3 that" in check.message


CLOSED = [
    'x,y\n"a" ,1\nb,2\n',
    'x,y\n"a"b,1\nb,2\n',
    'x,y\na"b,1\n5",2\n',
    'x,y\n"a ""b""",1\n"a\nb",2\n',
    'x,y\r\n"a",1\r\n"b",2',
    'x,y\n"' + "a" * 200_000 + '",1\nb,2',
]


@pytest.mark.parametrize("text", CLOSED, ids=lambda text: repr(text)[:20])
def test_quotes_that_are_closed_or_within_a_text_are_read(text: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, {"a.csv": text})
    assert loaded.checks == ()
    assert loaded.table.num_rows == 2


def test_a_file_that_is_no_text_is_told_so(tmp_path: Path) -> None:
    (check,) = read(tmp_path, {"a.csv": b"PK\x03\x04" + bytes(100)}).checks
    assert check.message == "`a.csv` is not text: it begins with bytes that are no characters"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quotes")


@settings(max_examples=200, deadline=None)
@given(st.text('a,"\n\r', max_size=14), st.integers(1, 4))
def test_quotes_that_alternate_are_well_formed_wherever_a_block_ends(text: str, block: int) -> None:
    raw = text.encode()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(quotes, "_BLOCK", block)
        alternate = quotes._alternate(lambda: io.BytesIO(raw), b'"', b",")
    try:
        list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        assert not alternate
    else:
        assert alternate or '"' in text
    assert alternate or '"' in text


CELLS = st.text('ab,"\n x', max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5), st.integers(0, 1000))
def test_without_one_of_its_quotes_a_file_loses_no_row_unnoticed(
    folder: Path, rows: list[tuple[str, str]], at: int
) -> None:
    sink = io.StringIO()
    csv.writer(sink, quoting=csv.QUOTE_ALL).writerows([("x", "y"), *rows])
    whole = sink.getvalue()
    loaded = read(folder, {"a.csv": whole}, nulls=())
    assert loaded.checks == ()
    assert list(zip(*loaded.table.to_pydict().values(), strict=True)) == rows
    places = [place for place, letter in enumerate(whole) if letter == '"']
    lost = places[at % len(places)]
    found = read(folder, {"a.csv": whole[:lost] + whole[lost + 1 :]}, nulls=())
    assert found.checks or found.table.num_rows >= len(rows)
