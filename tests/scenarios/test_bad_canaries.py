"""What becomes of each kind of canary, from its commit to the decision, under live traffic."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.scenarios.bad_canaries import CASES, Case, Trial, trial

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def production(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    """One world for all kinds: each comes beside a server that is fine."""
    async with trial(tmp_path_factory.mktemp("canaries")) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)
async def test_each_kind_of_canary_is_decided_on_as_it_deserves(
    production: Trial, case: Case
) -> None:
    seen = await production.see(case)
    assert seen.decided == case.decided
    assert case.signal in (*seen.signals, "")
    assert bool(seen.signals) == bool(case.signal)
