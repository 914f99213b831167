"""The PostgreSQL store: the contract of every store, and what is its own."""

from collections.abc import AsyncIterator

import pytest

from controller.store.addresses import PostgresAddress
from controller.store.postgres import PostgresStore
from tests.contracts.store import StoreContract
from tests.servers.postgresql import Postgresql

pytestmark = pytest.mark.postgresql


@pytest.fixture
def address(postgresql_server: Postgresql) -> PostgresAddress:
    """An empty database."""
    return postgresql_server.state()


@pytest.fixture
async def store(address: PostgresAddress) -> AsyncIterator[PostgresStore]:
    """A controller's store."""
    opened = await PostgresStore.open(address, sole=True)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same database, opened by a command."""
    opened = await PostgresStore.open(store.address, upgrade=False)
    yield opened
    await opened.close()


class TestPostgresKeepsTheContract(StoreContract):
    hears_within = 10.0
