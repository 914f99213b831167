"""`headgate doctor` looks at the databases that datasets are queries of."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.doctor.databases import examine_databases
from controller.doctor.findings import Finding
from specs.loading.load import load
from specs.model import Pipeline
from tests.servers.postgresql import Postgresql

VERSION = ', version: "SELECT count(*) FROM orders"'


def spec(version: str = VERSION) -> Pipeline:
    query = f'{{url: "${{SHOP}}", sql: "SELECT * FROM orders"{version}}}'
    text = f"""\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: shop}}
datasets:
  orders: {{query: {query}}}
steps:
  train: {{run: "x {{inputs.orders}}", inputs: {{orders: datasets.orders}}}}
"""
    loaded = load(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


async def found(address: str | None, version: str = VERSION) -> Finding:
    secrets = Secrets({"SHOP": address} if address is not None else {})
    (finding,) = [each async for each in examine_databases(secrets, [spec(version)])]
    assert finding.what == "dataset shop/orders"
    return finding


@pytest.fixture
def lite(tmp_path: Path) -> str:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    return f"sqlite:///{tmp_path}/shop.db"


async def test_a_database_that_answers_is_found_good(lite: str) -> None:
    one = await found(lite)
    assert (one.state, one.message) == ("ok", "the database at ${SHOP} answers its version")
    other = await found(lite, version="")
    assert (other.state, other.message) == ("ok", "the database at ${SHOP} answers a query")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "the secret SHOP is not set: set HEADGATE_SECRET_SHOP"),
        ("oracle://u:hunter2@h/x", "the driver for oracle is not installed"),
        ("postgresql://u:hunter2@127.0.0.1:1/x", "the database is unreachable"),
        ("sqlite:////nowhere/shop.db", "unable to open database file"),
    ],
)
async def test_what_keeps_a_query_from_its_database_is_an_error(
    address: str | None, message: str
) -> None:
    one = await found(address)
    assert one.state == "error"
    assert message in one.message
    assert "hunter2" not in one.message


@pytest.mark.postgresql
async def test_a_statement_that_postgresql_refuses_is_told(
    postgresql_server: Postgresql, warehouse: str
) -> None:
    one = await found(warehouse)
    assert 'reports an error: relation "orders" does not exist' in one.message
    postgresql_server.execute(warehouse, "CREATE TABLE orders (id int)")
    assert (await found(warehouse)).state == "ok"
