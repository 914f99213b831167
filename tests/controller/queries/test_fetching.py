"""What rows of a database become: one Parquet file, typed as the database has them."""

import math
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from controller.queries.fetching import fetch
from controller.queries.sql_session import BATCH
from specs.failures import NeedsHuman, TryAgain
from tests.servers.postgresql import Postgresql

Taker = Callable[[str], Any]


@pytest.fixture
def taken(warehouse: str, tmp_path: Path) -> Taker:
    """The table that a statement to PostgreSQL becomes."""

    def taken(statement: str) -> Any:
        fetch(warehouse, statement, None, tmp_path / "rows.parquet", tmp_path)
        return pq.read_table(tmp_path / "rows.parquet")

    return taken


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("expression", "type_", "value"),
    [
        ("true", pa.bool_(), True),
        ("7::int2", pa.int16(), 7),
        ("7::int4", pa.int32(), 7),
        ("9007199254740993::int8", pa.int64(), 9007199254740993),
        ("1.5::float4", pa.float32(), 1.5),
        ("1e300::float8", pa.float64(), 1e300),
        ("12.30::numeric", pa.decimal128(4, 2), Decimal("12.30")),
        ("12.345::numeric", pa.decimal128(5, 3), Decimal("12.345")),
        ("1e45::numeric", pa.decimal256(46, 0), Decimal(10) ** 45),
        ("'NaN'::numeric", pa.float64(), math.nan),
        ("'grün %:x'::text", pa.string(), "grün %:x"),
        ("'a'::char(3)", pa.string(), "a  "),
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
        ("INTERVAL '1 hour'", pa.duration("us"), timedelta(hours=1)),
        (
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
            pa.string(),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ("""'{"b": 1, "a": [null]}'::jsonb""", pa.string(), '{"a": [null], "b": 1}'),
        ("'\\x00ff'::bytea", pa.binary(), b"\x00\xff"),
        ("ARRAY[1, NULL, 3]::int4[]", pa.list_(pa.int32()), [1, None, 3]),
    ],
)
def test_a_value_of_postgresql_keeps_its_type_also_beside_null_and_where_no_row_is(
    expression: str, type_: Any, value: Any, taken: Taker
) -> None:
    table = taken(f"SELECT {expression} AS x UNION ALL SELECT NULL")
    assert table.schema.field("x").type == type_
    found = table["x"].to_pylist()
    assert found == [value, None] or (math.isnan(found[0]) and found[1] is None)
    empty = taken(f"SELECT {expression} AS x WHERE false")
    assert empty.num_rows == 0
    if "numeric" not in expression:  # how many digits one has, only its rows tell
        assert empty.schema.field("x").type == type_


@pytest.mark.postgresql
def test_numbers_of_a_table_keep_their_digits_though_it_is_empty(taken: Taker) -> None:
    for where in ("false", "true"):
        table = taken(f"SELECT 1.5::numeric(12,4) AS x WHERE {where}")
        assert table.schema.field("x").type == pa.decimal128(12, 4)


@pytest.mark.postgresql
def test_nan_beside_decimals_that_no_double_holds_is_refused(taken: Taker) -> None:
    with pytest.raises(NeedsHuman, match="column x has NaN or infinity and also numbers"):
        taken("SELECT 'NaN'::numeric AS x UNION ALL SELECT 0.12345678901234567890")
    doubles = taken("SELECT 'NaN'::numeric AS x UNION ALL SELECT 0.5")["x"].to_pylist()
    assert math.isnan(doubles[0])
    assert doubles[1] == 0.5


@pytest.mark.postgresql
def test_equal_rows_give_equal_bytes_over_more_than_one_part(
    warehouse: str, tmp_path: Path
) -> None:
    statement = (
        f"SELECT i, i * 0.1::float8 AS x, repeat('x', i % 7) AS t, NULLIF(i % 3, 0) AS n "
        f"FROM generate_series(1, {2 * BATCH + 7}) AS i ORDER BY i"
    )
    digests = set()
    for name in ("one.parquet", "two.parquet"):
        rows, version = fetch(warehouse, statement, None, tmp_path / name, tmp_path)
        assert (rows, version) == (2 * BATCH + 7, None)
        digests.add(sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    read = pq.read_table(tmp_path / "one.parquet")
    assert read["i"].to_pylist() == list(range(1, rows + 1))
    assert read["n"].null_count == rows // 3


@pytest.mark.postgresql
def test_rows_and_version_are_of_one_moment_though_somebody_writes(
    postgresql_server: Postgresql, warehouse: str, tmp_path: Path
) -> None:
    postgresql_server.execute(
        warehouse, "CREATE TABLE orders AS SELECT i AS id FROM generate_series(1, 3) AS i"
    )
    # It writes through another connection in the middle, as dblink would: a row more each time.
    postgresql_server.execute(
        warehouse,
        "CREATE EXTENSION dblink",
        "CREATE FUNCTION add() RETURNS bigint LANGUAGE sql AS $$ SELECT count(dblink_exec("
        f"'host=127.0.0.1 port={postgresql_server.port} user=ada password=''a word & a half'' "
        f"dbname={warehouse.rpartition('/')[2]}', 'INSERT INTO orders VALUES (99)')) $$",
    )
    statement = "SELECT id, add() FROM orders ORDER BY id"
    target = tmp_path / "rows.parquet"
    rows, version = fetch(warehouse, statement, "SELECT count(*) FROM orders", target, tmp_path)
    assert (rows, version) == (3, b'[[["int","3"]]]')
    rows, version = fetch(warehouse, statement, "SELECT count(*) FROM orders", target, tmp_path)
    assert (rows, version) == (6, b'[[["int","6"]]]')


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT * FROM nowhere", 'reports an error: relation "nowhere" does not exist'),
        ("SELEC 1", "reports an error: syntax error"),
        ("INSERT INTO t VALUES (1)", "read-only|syntax error"),
        ("SELECT 1 AS a, 2 AS a", "two columns are called a"),
        ("SELECT nextval('s')", "read-only"),
    ],
)
def test_a_statement_that_cannot_be_taken_is_told_in_words(
    statement: str, message: str, taken: Taker, postgresql_server: Postgresql, warehouse: str
) -> None:
    postgresql_server.execute(warehouse, "CREATE TABLE t (x int)", "CREATE SEQUENCE s")
    with pytest.raises(NeedsHuman, match=message):
        taken(statement)


@pytest.mark.postgresql
def test_no_value_of_a_row_is_told_where_it_does_not_fit(
    taken: Taker, postgresql_server: Postgresql, warehouse: str
) -> None:
    postgresql_server.execute(warehouse, "CREATE TABLE t AS SELECT 'Ada Lovelace' AS who")
    for statement in ("SELECT who::int FROM t", "SELECT to_date(who, 'YYYY') FROM t"):
        with pytest.raises(NeedsHuman, match="a value does not fit") as told:
            taken(statement)
        assert "Ada" not in str(told.value)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "statement",
    ["SELECT 7 AS x;", "WITH a AS (SELECT 7 AS x) SELECT x FROM a", "SELECT 7 AS x -- so it is"],
)
def test_a_statement_is_taken_as_it_is_written(statement: str, taken: Taker) -> None:
    assert taken(statement).to_pydict() == {"x": [7]}


@pytest.mark.postgresql
def test_a_wrong_password_wants_a_person_and_a_server_that_is_away_is_waited_for(
    postgresql_server: Postgresql, warehouse: str, tmp_path: Path
) -> None:
    name = warehouse.rpartition("/")[2]
    wrong = postgresql_server.address(name, "hunter2 and more")
    with pytest.raises(NeedsHuman, match="password authentication failed") as failed:
        fetch(wrong, "SELECT 1", None, tmp_path / "rows", tmp_path)
    assert "hunter2" not in str(failed.value)
    away = "postgresql://ada:hunter2@127.0.0.1:1/shop"
    with pytest.raises(TryAgain, match="the database is unreachable") as waits:
        fetch(away, "SELECT 1", None, tmp_path / "rows", tmp_path)
    assert "hunter2" not in str(waits.value)


# -- SQLite: everywhere ----------------------------------------------------------------------------


@pytest.fixture
def lite(tmp_path: Path) -> Callable[[str, str], Any]:
    """The table that a statement becomes, of a database made by a script."""

    def taken(script: str, statement: str) -> Any:
        file = tmp_path / "shop.db"
        file.unlink(missing_ok=True)
        with sqlite3.connect(file) as made:
            made.executescript(script)
        fetch(f"sqlite:///{file}", statement, None, tmp_path / "rows.parquet", tmp_path)
        return pq.read_table(tmp_path / "rows.parquet")

    return taken


@pytest.mark.parametrize(
    ("declared", "values", "type_", "found"),
    [
        ("INTEGER", "(1), (NULL)", pa.int64(), [1, None]),
        ("REAL", "(1), (2.5)", pa.float64(), [1.0, 2.5]),
        ("DECIMAL(10,2)", "(1), (NULL)", pa.float64(), [1.0, None]),
        ("TEXT", "('a'), (NULL)", pa.string(), ["a", None]),
        ("BOOLEAN", "(0), (1), (NULL)", pa.bool_(), [False, True, None]),
        ("BOOLEAN", "(0), (7)", pa.int64(), [0, 7]),
        ("BLOB", "(x'00ff')", pa.binary(), [b"\x00\xff"]),
        ("DATE", "('2026-01-31'), (NULL)", pa.date32(), [date(2026, 1, 31), None]),
        ("DATE", "('soon')", pa.string(), ["soon"]),
        (
            "TIMESTAMP",
            "('2026-01-31 12:30:00')",
            pa.timestamp("us"),
            [datetime(2026, 1, 31, 12, 30)],  # noqa: DTZ001 - it has no zone
        ),
        ("TIMESTAMP", "('2026-01-31 12:30+02:00')", pa.string(), ["2026-01-31 12:30+02:00"]),
        ("INTEGER", "(1), (2.5)", pa.float64(), [1.0, 2.5]),
        ("", "(NULL)", pa.string(), [None]),
    ],
)
def test_a_value_of_sqlite_has_the_type_that_was_declared_if_it_fits(
    declared: str, values: str, type_: Any, found: list[Any], lite: Callable[[str, str], Any]
) -> None:
    script = f"CREATE TABLE t (x {declared}); INSERT INTO t VALUES {values};"
    table = lite(script, "SELECT x FROM t ORDER BY rowid;")
    assert (table.schema.field("x").type, table["x"].to_pylist()) == (type_, found)


def test_an_empty_result_of_sqlite_keeps_the_schema(lite: Callable[[str, str], Any]) -> None:
    script = "CREATE TABLE t (i INTEGER, r REAL, s TEXT, d DATE, b BOOLEAN);"
    schema = lite(script, "SELECT * FROM t").schema
    assert [str(type_) for type_ in schema.types] == [
        "int64",
        "double",
        "string",
        "date32[day]",
        "bool",
    ]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("SELECT x FROM mixed", "column x has values of the types int, str"),
        (
            "SELECT 9007199254740993 AS x UNION ALL SELECT 0.5",
            "integers that a double cannot represent",
        ),
        ("SELECT * FROM nowhere", "reports an error: no such table: nowhere"),
        ("DELETE FROM mixed", "readonly database"),
        ("ATTACH '/etc/passwd' AS p", "reports an error: not authorized"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
    ],
)
def test_what_sqlite_cannot_give_is_told_in_words(
    statement: str, message: str, lite: Callable[[str, str], Any]
) -> None:
    with pytest.raises(NeedsHuman, match=message):
        lite("CREATE TABLE mixed (x); INSERT INTO mixed VALUES (1), ('a');", statement)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no address", "the secret is not the address of a database"),
        ("sqlite:///shop.db", "must be absolute, as in sqlite:////folder/file.db"),
        ("duckdb:///shop.db", "must be absolute, as in duckdb:////folder/file.db"),
        ("duckdb:////nowhere/shop.db", "the DuckDB file does not exist"),
        ("oracle://u:hunter2@h/x", "the driver for oracle is not installed"),
        ("nothing://u:hunter2@h/x", "the driver for nothing is not installed"),
        ("sqlite:////nowhere/shop.db", "unable to open database file"),
    ],
)
def test_an_address_of_no_use_is_told_without_saying_it(
    address: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(NeedsHuman, match=message) as failed:
        fetch(address, "SELECT 1", None, tmp_path / "rows", tmp_path)
    assert "hunter2" not in str(failed.value)
