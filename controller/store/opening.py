"""Opens the state wherever it is; a driver is imported only for the database that needs it."""

from pathlib import Path

from controller.store.addresses import Address
from controller.store.database import DatabaseStore
from controller.store.protocol import StoreReader
from controller.store.reading import SqliteReader


async def open_store(
    address: Address, *, upgrade: bool = True, sole: bool = False
) -> DatabaseStore:
    """Open a store. Raises what `Store` raises.

    Without `upgrade`, a schema of another version is a failure. With `sole`, so is a database of
    PostgreSQL that another controller has; for a file, the home folder's lock says that.
    """
    if isinstance(address, Path):
        from controller.store.sqlite import SqliteStore

        return await SqliteStore.open(address, upgrade=upgrade)
    from controller.store.postgres import PostgresStore

    return await PostgresStore.open(address, upgrade=upgrade, sole=sole)


def open_reader(address: Address) -> StoreReader:
    """Open a state that is there, to look at it. Raises what `StoreReader` raises."""
    if isinstance(address, Path):
        return SqliteReader.open(address)
    from controller.store.postgres_reading import PostgresReader

    return PostgresReader.open(address)
