"""Opens the state wherever it is; a driver is imported only for the database that needs it."""

from pathlib import Path
from typing import TYPE_CHECKING

from controller.store.addresses import Address
from controller.store.database import DatabaseStore
from controller.store.protocol import Hold, StoreReader
from controller.store.reading import SqliteReader
from specs.failures import NeedsHuman

if TYPE_CHECKING:
    from controller.store.leases import Leases


async def open_store(
    address: Address, *, upgrade: bool = True, hold: Hold | None = None
) -> DatabaseStore:
    """Open a store. Raises what `Store` raises.

    Without `upgrade`, a schema of another version is a failure. With a `hold`, so is a database
    of PostgreSQL that another controller has otherwise; for a file, the home folder's lock says
    that.
    """
    if isinstance(address, Path):
        from controller.store.sqlite import SqliteStore

        return await SqliteStore.open(address, upgrade=upgrade)
    from controller.store.postgres import PostgresStore

    return await PostgresStore.open(address, upgrade=upgrade, hold=hold)


async def share(store: DatabaseStore) -> "Leases":
    """Leases by which several controllers divide the work; what has none cannot be saved from now
    on. Raises what a store raises, and `NeedsHuman` for one that cannot be shared."""
    from controller.store.leases import Leases
    from controller.store.postgres import PostgresStore

    if not isinstance(store, PostgresStore):
        raise NeedsHuman(
            "`controllers: several` needs a state that they share: set `store` to an address of "
            "PostgreSQL, or remove `controllers`."
        )
    leases = await Leases.open(store.address)
    store.fence = leases.fence
    return leases


def open_reader(address: Address) -> StoreReader:
    """Open a state that is there, to look at it. Raises what `StoreReader` raises."""
    if isinstance(address, Path):
        return SqliteReader.open(address)
    from controller.store.postgres_reading import PostgresReader

    return PostgresReader.open(address)
