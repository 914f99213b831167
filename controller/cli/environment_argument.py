"""The argument PIPELINE[/ENVIRONMENT], and the environment that it names."""

import click

from controller.cli.context import not_found, require
from controller.cli.failures import Failed
from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.repositories.repository import ENVIRONMENTS
from controller.store.protocol import StoreReader

place_argument = click.argument("place", metavar="PIPELINE[/ENVIRONMENT]")


async def find_environment(store: StoreReader, place: str) -> EnvironmentState:
    """The environment that `place` names, or else production. Raises `Failed` if there is none."""
    pipeline, _, name = place.partition("/")
    await require(store, "pipeline", pipeline, PipelineState, "pipeline")
    if name and name not in ENVIRONMENTS:
        raise not_found("environment", name, ENVIRONMENTS)
    full = f"{pipeline}/{name or 'production'}"
    if await store.get(Key("environment", full)) is None:
        raise Failed(f"nothing has been released to {full} yet; `headgate status` shows what runs.")
    return await require(store, "environment", full, EnvironmentState, "environment")
