"""`headgate down`."""

import os
from collections.abc import Sequence

import click

from controller.cli.context import (
    CliContext,
    controller_pid,
    json_option,
    print_json,
    require,
    with_state,
)
from controller.cli.failures import Failed
from controller.config.settings_file import load_secrets
from controller.machine.core import Value
from controller.machine.pipelines.pipeline import PipelineState
from controller.store.identity import read_identity
from controller.store.model_versions import Versions
from controller.store.protocol import StoreReader
from controller.wiring.home_lock import only_one
from controller.wiring.serving_cluster import serving_cluster
from deployers.chosen_target import chosen as target_in
from deployers.engine import Engine
from deployers.registry import DeployerSetup, make_deployer
from deployers.windows import SERVING


class StoppedView(Value):
    """An environment whose servers and router were stopped."""

    place: str
    address: str | None
    """The address of its router, which will be the same after the next start."""
    servers: tuple[str, ...]
    """The names of the stopped servers."""


@click.command(short_help="Stop the model servers that `up` left running.")
@click.argument("pipeline", required=False)
@json_option
@click.pass_context
def down(ctx: click.Context, pipeline: str | None, as_json: bool) -> None:
    """Stop the model servers and routers of PIPELINE, or of all pipelines.

    They keep running when the controller ends. The controller has to be stopped first, since it
    would start them again. Releases are not changed: the next `headgate up` starts the same
    versions at the same addresses.

    \b
    Example:
      headgate down
      headgate down flight-delay
    """

    async def run(store: StoreReader, here: CliContext) -> list[StoppedView]:
        if pipeline is not None:
            await require(store, "pipeline", pipeline, PipelineState, "pipeline")
        places = [record.key.name for record in await store.list("environment")]
        chosen = [one for one in places if pipeline in (None, one.partition("/")[0])]
        pid = controller_pid(here.home)
        if pid is not None:
            raise Failed(
                f"a controller is running (process {pid}) and would start them again: stop it "
                "first, then run `headgate down`."
            )
        with only_one(here.home):
            await _refuse_unknown_scripts(store, here, chosen)
            return await _stop(here, sorted(chosen), await read_identity(store))

    stopped = with_state(ctx, run)
    if as_json:
        print_json(stopped)
        return
    for one in stopped:
        what = ", ".join(one.servers) or "no server"
        at = f" and the router at {one.address}" if one.address else ""
        click.echo(f"{one.place}: stopped {what}{at}.")
    click.echo(
        "The next `headgate up` starts them again."
        if stopped
        else f"No model server is running here{f' for {pipeline}' if pipeline else ''}."
    )


async def _refuse_unknown_scripts(
    store: StoreReader, here: CliContext, places: Sequence[str]
) -> None:
    """Raise `Failed` for a place that scripts deployed, if this home folder lacks them."""
    versions = Versions(store)
    for place in places:
        asked = await versions.last_deploy(place)
        if asked is None or target_in(here.home / SERVING, place) is not None:
            continue
        number = asked.canary if asked.canary is not None else asked.stable
        version = await versions.get(asked.pipeline, number) if number is not None else None
        release = version.spec.release if version else None
        if release is not None and release.scripts_for(asked.environment) is not None:
            raise Failed(
                f"{place} was deployed by scripts that {here.home} does not have: let `headgate "
                "up` run there until `headgate status` shows the place, stop it, and try again."
            )


async def _stop(here: CliContext, places: list[str], identity: str | None) -> list[StoppedView]:
    engine = Engine(here.settings.docker.host, here.home)
    secrets = load_secrets(here.settings, here.base, os.environ)
    setup = DeployerSetup(
        home=here.home / SERVING,
        redact=secrets.redact,
        engine=engine,
        cluster=serving_cluster(here.settings, here.base, identity) if identity else None,
        reveal=secrets.reveal,
    )
    deployer = make_deployer(setup)
    try:
        stopped = []
        for place in places:
            seen = await deployer.observe(place)
            servers = tuple(one.name for one in seen.servers if one.alive)
            await deployer.stop(place)
            if servers or seen.address is not None:
                view = StoppedView(place=place, address=seen.address, servers=servers)
                stopped.append(view)
        return stopped
    finally:
        await deployer.close()
        await engine.close()
