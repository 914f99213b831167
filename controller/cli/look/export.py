"""`headgate export`."""

import asyncio
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from controller.artifacts.opening import open_artifacts
from controller.cli.context import (
    CliContext,
    json_option,
    not_found,
    print_json,
    require,
    with_state,
)
from controller.cli.environment_argument import find_environment, place_argument
from controller.cli.failures import Failed
from controller.machine.core import Value
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.version import ModelVersion
from controller.store.protocol import StoreReader


class ExportView(Value):
    """What was exported."""

    place: str
    version: int
    digest: str
    """The digest of the model version."""
    artifact: str
    """The digest of the exported file or folder."""
    path: str


@click.command(short_help="Write the model in an environment to a file.")
@place_argument
@click.option("--to", required=True, type=click.Path(path_type=Path), help="Where to write it.")
@click.option("--output", metavar="NAME", help="Export an output of the last batch command.")
@json_option
@click.pass_context
def export(ctx: click.Context, place: str, to: Path, output: str | None, as_json: bool) -> None:
    """Copy the model that an environment serves, or points to, to a new file or folder.

    The environment is production unless another is named. With --output, the output of that name
    of the last batch command is copied instead.

    \b
    Example:
      headgate export churn --to model.joblib
      headgate export churn/production --output scores --to scores.parquet
    """
    if to.exists():
        raise click.UsageError(f"{to} already exists; choose another path or move it away.")

    async def run(store: StoreReader, here: CliContext) -> ExportView:
        env = await find_environment(store, place)
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
    """The version, and the digest of the requested artifact. Raises `Failed` if there is none."""
    job = env.job
    ref = env.stable if output is None else job.version if job is not None else None
    if ref is None:
        nothing = "serves nothing" if output is None else "has not run a batch command yet"
        raise Failed(f"{env.place} {nothing}; `headgate status` shows what runs.")
    name = f"{env.pipeline}/{ref.version}"
    version = await require(store, "model", name, ModelVersion, "model version")
    if output is None:
        return version, version.model
    assert job is not None
    if job.open or job.failed is not None:
        how = "is still running" if job.open else f"failed: {job.failed}"
        raise Failed(f"the batch of {ref} in {env.place} {how}.")
    if output not in job.outputs:
        raise not_found("output", output, list(job.outputs))
    return version, job.outputs[output]


def _copy(source: Path, to: Path) -> None:
    """Copy an artifact, and make the copy writable for its owner."""
    to.absolute().parent.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        _copy_file(source, to)
        return
    shutil.copytree(source, to, copy_function=_copy_file)


def _copy_file(source: Path | str, to: Path | str) -> None:
    shutil.copy(source, to)
    Path(to).chmod(Path(to).stat().st_mode | 0o200)
