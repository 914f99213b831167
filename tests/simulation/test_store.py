"""The store in memory is held to what the databases are held to."""

import pytest

from tests.contracts.store import StoreContract
from tests.simulation.store import Memory, MemoryStore


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def store(memory: Memory) -> MemoryStore:
    return MemoryStore(memory)


@pytest.fixture
async def other(memory: Memory, store: MemoryStore) -> MemoryStore:
    assert store in memory.openings
    return MemoryStore(memory)


class TestTheStoreInMemoryKeepsTheContract(StoreContract):
    pass
