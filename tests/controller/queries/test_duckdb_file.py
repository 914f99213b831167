"""What rows of a DuckDB file become: one Parquet file, typed as DuckDB has them."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from controller.queries.database import files_of
from controller.queries.duckdb_file import GROUP
from controller.queries.fetching import fetch
from controller.queries.sessions import open_session
from controller.queries.versions import version_of
from specs.failures import NeedsHuman, TryAgain

Taker = Callable[[str], Any]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.duckdb"
    with closing(duckdb.connect(str(file))) as made:
        made.execute("CREATE TABLE orders AS SELECT range AS id, 'MARKER' AS who FROM range(3)")
    return file


@pytest.fixture
def taken(shop: Path, tmp_path: Path) -> Taker:
    """The table that a statement becomes."""

    def taken(statement: str) -> Any:
        fetch(f"duckdb:///{shop}", statement, None, tmp_path / "rows.parquet", tmp_path)
        return pq.read_table(tmp_path / "rows.parquet")

    return taken


TYPES: list[tuple[str, Any, object]] = [
    ("7::TINYINT", pa.int8(), 7),
    ("18446744073709551615::UBIGINT", pa.uint64(), 2**64 - 1),
    ("9007199254740993::BIGINT", pa.int64(), 9007199254740993),
    ("5::HUGEINT", pa.decimal128(38, 0), Decimal(5)),
    ("12.30::DECIMAL(10, 2)", pa.decimal128(10, 2), Decimal("12.30")),
    ("1.5::FLOAT", pa.float32(), 1.5),
    ("true", pa.bool_(), True),
    ("'grün'", pa.string(), "grün"),
    ("'q'::ENUM('q', 'r')", pa.string(), "q"),
    ("'\\xFF'::BLOB", pa.binary(), b"\xff"),
    ("DATE '2026-01-31'", pa.date32(), date(2026, 1, 31)),
    ("TIME '12:30'", pa.time64("us"), time(12, 30)),
    (
        "TIMESTAMP '2026-01-31 12:30:00.000001'",
        pa.timestamp("us"),
        datetime(2026, 1, 31, 12, 30, 0, 1),  # noqa: DTZ001 - it has no zone
    ),
    (
        "TIMESTAMPTZ '2026-01-31 12:30:00+02'",
        pa.timestamp("us", tz="UTC"),
        datetime(2026, 1, 31, 10, 30, tzinfo=UTC),
    ),
    ("TIMESTAMP_NS '2026-01-31 12:30:00'", pa.timestamp("ns"), "2026-01-31 12:30:00"),
    (
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID",
        pa.string(),
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("'{\"a\": 1}'::JSON", pa.string(), '{"a": 1}'),
    ("[1, NULL]", pa.list_(pa.int32()), [1, None]),
    ("{'a': 1}", pa.struct([("a", pa.int32())]), {"a": 1}),
]


@pytest.mark.parametrize(("expression", "type_", "value"), TYPES)
def test_a_value_of_duckdb_keeps_its_type_also_beside_null_and_where_no_row_is(
    expression: str, type_: Any, value: object, taken: Taker
) -> None:
    table = taken(f"SELECT {expression} AS x UNION ALL SELECT NULL")
    found = table["x"].to_pylist()[0]
    assert table.schema.field("x").type == type_
    assert (str(found) if isinstance(value, str) else found) == value
    assert taken(f"SELECT {expression} AS x WHERE false").schema == table.schema


def test_equal_rows_give_equal_bytes_over_more_than_one_group(shop: Path, tmp_path: Path) -> None:
    statement = "SELECT range AS id, hash(range)::VARCHAR AS x FROM range(400000) WHERE id % 3 = 0"
    digests = set()
    for name in ("a", "b"):
        rows, _ = fetch(f"duckdb:///{shop}", statement, None, tmp_path / name, tmp_path)
        assert rows == 133_334
        digests.add(sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    footer = pq.read_metadata(tmp_path / "a")
    assert [footer.row_group(at).num_rows for at in range(footer.num_row_groups)] == [
        GROUP,
        133_334 - GROUP,
    ]
    assert pq.read_table(tmp_path / "a")["id"].to_pylist() == list(range(0, 400_000, 3))


def test_a_version_tells_values_of_other_types_apart(shop: Path) -> None:
    with open_session(f"duckdb:///{shop}", 10) as session:
        one, other = (version_of(session, f"SELECT {each}") for each in ("1", "'1'"))
        assert one != other
        assert version_of(session, "SELECT max(id), count(*) FROM orders") == (
            b'[[["int","2"],["int","3"]]]'
        )


def test_rows_that_were_not_checkpointed_yet_are_read_with_their_log(
    tmp_path: Path,
) -> None:
    file = tmp_path / "live.duckdb"
    script = (
        f"import duckdb, os; c = duckdb.connect({str(file)!r});"
        "c.execute('CREATE TABLE t (x INT)');"
        "c.execute('CHECKPOINT'); c.execute('INSERT INTO t VALUES (7)'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    address = f"duckdb:///{file}"
    assert [path.name for path in files_of(address)] == ["live.duckdb", "live.duckdb.wal"]
    fetch(address, "SELECT * FROM t", None, tmp_path / "rows", tmp_path)
    assert pq.read_table(tmp_path / "rows").to_pydict() == {"x": [7]}


def test_a_file_that_somebody_writes_to_is_waited_for(shop: Path, tmp_path: Path) -> None:
    script = f"import duckdb; c = duckdb.connect({str(shop)!r}); print(flush=True); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with pytest.raises(TryAgain, match="another process has the DuckDB file open for writing"):
            fetch(f"duckdb:///{shop}", "SELECT 1", None, tmp_path / "rows", tmp_path)
        writer.kill()


def test_a_statement_that_takes_too_long_is_ended(shop: Path) -> None:
    slow = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
    with (
        pytest.raises(TryAgain, match="did not answer within"),
        open_session(f"duckdb:///{shop}", 0.2) as session,
    ):
        version_of(session, slow)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM nowhere", "reports an error: Catalog Error: Table .* nowhere does not"),
        ("SELEC 1", "reports an error: Parser Error"),
        ("DELETE FROM orders", "must be a SELECT"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("", "must be a SELECT"),
        ("ATTACH '/etc/passwd' AS p", "must be a SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "Permission Error: Cannot access file"),
        ("SELECT 1 AS a, 2 AS a", "two columns are called a; rename one with AS"),
        ("SELECT who::INTEGER AS x FROM orders", "ConversionException .* may quote data"),
        ("SELECT INTERVAL 1 MONTH AS x", "column x is of a type that a Parquet file does not have"),
        (
            "SELECT 170141183460469231731687303715884105727 AS x",
            "column x has values that do not fit its type",
        ),
    ],
)
def test_what_duckdb_cannot_give_is_told_in_words(
    statement: str, message: str, taken: Taker
) -> None:
    with pytest.raises(NeedsHuman, match=message) as raised:
        taken(statement)
    assert "MARKER" not in str(raised.value)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"garbage" * 100)
    with pytest.raises(NeedsHuman, match="is not a DuckDB database"):
        fetch(f"duckdb:///{tmp_path}/x", "SELECT 1", None, tmp_path / "rows", tmp_path)


def test_without_the_extra_it_is_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as where it is not installed
    with (
        pytest.raises(NeedsHuman, match=r"headgate\[duckdb\]"),
        open_session(f"duckdb:///{shop}"),
    ):
        pass
