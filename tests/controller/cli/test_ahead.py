"""A plan says when production has too little traffic for the canary to come."""

import json

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.planning.canary_warning import canary_warning
from controller.store.protocol import Put, Store, Transaction
from specs.model import Pipeline
from tests.controller.cli.conftest import Desk, silent_router
from tests.controller.machine.kit import spec, version

PLACE = "mean/production"


def asked(desk: Desk, of: Pipeline) -> object:
    async def ask(store: Store) -> object:
        return await canary_warning(of, store, desk.home)

    return desk.look(ask)


def test_a_router_that_has_seen_nothing_means_a_canary_that_cannot_be_decided(desk: Desk) -> None:
    env = EnvironmentState(
        pipeline="mean", name="production", repository="team", stable=version(1).ref
    )
    assert asked(desk, spec()) is None  # nothing serves yet, so there is no canary
    desk.keep(
        Transaction(
            put=Put(
                key=Key("environment", PLACE), revision=0, text=json.dumps(env.plain()), live=True
            )
        )
    )
    assert asked(desk, spec()) is None  # nobody knows its traffic
    with silent_router(desk.home, PLACE):
        said = asked(desk, spec())
        canary, strategy = "release.production.canary", "release.production.strategy"
        direct = asked(desk, spec((canary, None), (strategy, "direct")))
    assert "cannot be decided without traffic" in str(said)
    assert direct is None
