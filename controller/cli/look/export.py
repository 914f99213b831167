"""`headgate export`."""

import asyncio
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from controller.artifacts.opening import open_artifacts
from controller.cli.failures import Failed
from controller.cli.places import environment, place_argument
from controller.cli.reach import Reach, json_option, known, no_such, print_json, with_state
from controller.machine.core import Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.version import ModelVersion
from controller.store.protocol import StoreReader


class ExportView(Value):
    """What was written."""

    place: str
    version: int
    digest: str
    """Of the model version."""
    artifact: str
    """The digest of what was written."""
    path: str


@click.command(short_help="Write the model in an environment to a file.")
@place_argument
@click.option("--to", required=True, type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--output", metavar="NAME", help="Instead: what its batch command wrote last.")
@json_option
@click.pass_context
def export(ctx: click.Context, place: str, to: Path, output: str | None, as_json: bool) -> None:
    """Write the model that an environment runs, or points to, to a file or folder of yours.

    Without an environment, production is meant. What is written is a copy. With --output it is
    what the last run of the batch command wrote under that name.

    \b
    Example:
      headgate export churn --to model.joblib
      headgate export churn/production --output scores --to scores.parquet
    """
    if to.exists():
        raise click.UsageError(f"{to} is there already; name another, or move it away.")

    async def run(store: StoreReader, here: Reach) -> ExportView:
        env = await environment(store, place)
        version, digest = await _chosen(store, env, output)
        artifacts = open_artifacts(here.settings, here.home)
        with TemporaryDirectory(dir=here.home, prefix="export-") as scratch:
            await artifacts.link(digest, Path(scratch) / "it")
            await asyncio.to_thread(_copy, Path(scratch) / "it", to)
        return ExportView(
            place=env.place,
            version=version.number,
            digest=version.digest,
            artifact=digest,
            path=str(to),
        )

    written = with_state(ctx, run)
    if as_json:
        print_json(written)
    else:
        what = f"{output} of " if output else ""
        click.echo(f"{written.path}: {what}v{written.version} of {written.place}.")


async def _chosen(
    store: StoreReader, env: EnvironmentState, output: str | None
) -> tuple[ModelVersion, str]:
    """The version, and the digest of what is asked for. Raises `Failed`."""
    job = env.job
    ref = env.stable if output is None else job.version if job is not None else None
    if ref is None:
        nothing = "runs nothing" if output is None else "has run no batch command yet"
        raise Failed(f"{env.place} {nothing}; `headgate status` shows what runs.")
    name = f"{env.pipeline}/{ref.version}"
    version = await known(store, "model", name, ModelVersion, "model version")
    if output is None:
        return version, version.model
    assert job is not None
    if job.open or job.failed is not None:
        how = "goes on" if job.open else f"failed: {job.failed}"
        raise Failed(f"the batch of {ref} in {env.place} {how}.")
    if output not in job.outputs:
        raise no_such("output", output, list(job.outputs))
    return version, job.outputs[output]


def _copy(source: Path, to: Path) -> None:
    """A copy that is its owner's to change."""
    to.absolute().parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        _copy_file(source, to)
        return
    shutil.copytree(source, to, copy_function=_copy_file)


def _copy_file(source: Path | str, to: Path | str) -> None:
    shutil.copy(source, to)
    Path(to).chmod(Path(to).stat().st_mode | 0o200)
