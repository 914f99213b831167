"""`headgate accept`, which lets steps read a dataset version although its gate did not pass."""

import click

from controller.artifacts.opening import open_artifacts
from controller.cli.act.judged_versions import (
    acceptances_of,
    datasets_of,
    find_version,
    is_meant,
    judged_versions,
    newest_version,
    objection_to,
    objection_to_report,
)
from controller.cli.act.sending import no_wait_option, send_and_wait, user_name, with_store
from controller.cli.act.trigger import outcome
from controller.cli.context import CliContext, not_found, parse_all, require
from controller.cli.failures import Failed
from controller.cli.look.lookup import read_reports
from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import AcceptData, RevokeData
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.run import Run
from controller.store.model_versions import Versions
from controller.store.protocol import Store
from specs.digests import short
from specs.loading.explain import one_of

_LOOK_BACK = 200
"""How many of a pipeline's runs, the latest, are searched for the version."""


def _with_words(ctx: click.Context, option: click.Parameter, reason: str) -> str:
    if not reason.strip():
        raise click.BadParameter("say why: reports and releases show it.", ctx, option)
    return reason.strip()


@click.command(short_help="Accept a dataset version that its gate stopped.")
@click.argument("dataset", metavar="[PIPELINE/]DATASET")
@click.argument("version")
@click.option(
    "--reason",
    metavar="TEXT",
    required=True,
    callback=_with_words,
    help="Why; shown wherever it counts.",
)
@click.option("--revoke", is_flag=True, help="Accept the version no longer.")
@no_wait_option
@click.pass_context
def accept(
    ctx: click.Context, dataset: str, version: str, reason: str, revoke: bool, no_wait: bool
) -> None:
    """Let steps read VERSION of DATASET although its gate did not pass, and start a run that goes
    on where the gate stopped one.

    VERSION is a digest or its first digits, as `headgate show RUN` prints it. It is accepted as
    this suite has judged it: another suite judges it anew. Reports and releases that rest on it
    say who accepted it, when and why.

    \b
    Example:
      headgate accept flights 9c1e07aa --reason "strike in May: the carrier did not fly"
      headgate accept flight-delay/flights 9c1e07aa --revoke --reason "it was no strike"
    """

    async def run(store: Store, here: CliContext) -> None:
        pipeline, name = await _find_dataset(store, dataset)
        act = _revoke if revoke else _accept
        await act(store, here, pipeline, name, version, reason, not no_wait)

    with_store(ctx, run)


async def _find_dataset(store: Store, given: str) -> tuple[PipelineState, str]:
    """The pipeline and the name of the dataset. Raises `Failed` if there is none, or several."""
    named, slash, name = given.rpartition("/")
    if slash:
        pipelines = [await require(store, "pipeline", named, PipelineState, "pipeline")]
    else:
        pipelines = parse_all(await store.list("pipeline"), PipelineState)
    found = [each for each in pipelines if name in datasets_of(each)]
    if len(found) == 1:
        return found[0], name
    if not found:
        raise not_found("dataset", name, [one for each in pipelines for one in datasets_of(each)])
    places = one_of(sorted(f"{each.name}/{name}" for each in found))
    raise Failed(f"several pipelines have a dataset {name!r}; name {places}.")


async def _accept(
    store: Store,
    here: CliContext,
    pipeline: PipelineState,
    dataset: str,
    version: str,
    reason: str,
    wait: bool,
) -> None:
    runs = parse_all(await store.list("run", f"{pipeline.name}-", _LOOK_BACK), Run)
    judged = judged_versions(runs, dataset)
    newest = newest_version(pipeline, dataset, judged)
    one = find_version(judged, dataset, version, newest)
    keys = {gate.key for gate in one.stopped_by.values()}
    known = [each for each in pipeline.accepted_versions if each.key in keys]
    if keys and len(known) == len(keys):
        click.echo(f"{dataset} {short(one.version)} is already {known[0]}.")
        return
    if objection := objection_to(one, dataset, newest):
        raise Failed(objection)
    digests = {n: (gate.outputs or {}).get("report", "") for n, gate in one.stopped_by.items()}
    reports, _ = await read_reports(open_artifacts(here.settings, here.home), digests)
    for name in digests:
        if objection := objection_to_report(one, dataset, reports.get(name)):
            raise Failed(objection)
    versions = acceptances_of(one, dataset, reports, user_name(), reason)
    message = AcceptData(versions=versions)
    key = Key("pipeline", pipeline.name)
    if await send_and_wait(store, here.home, key, message, wait=wait):
        after = await require(store, "pipeline", pipeline.name, PipelineState, "pipeline")
        said = outcome(pipeline, after, pipeline.default_branch)
        click.echo(f"{dataset} {short(one.version)} is accepted. {said}")


async def _revoke(
    store: Store,
    here: CliContext,
    pipeline: PipelineState,
    dataset: str,
    version: str,
    reason: str,
    wait: bool,
) -> None:
    accepted = [one for one in pipeline.accepted_versions if one.dataset == dataset]
    found = [one for one in accepted if is_meant(one.version, version)]
    if not found:
        there = one_of([short(one.version) for one in accepted])
        raise Failed(
            f"no version {version!r} of {dataset} is accepted; "
            + (f"expected {there}." if there else "none is.")
        )
    if len({one.version for one in found}) > 1:
        several = one_of([short(one.version) for one in found])
        raise Failed(f"{version!r} is the beginning of several accepted versions: {several}.")
    one = found[-1]
    message = RevokeData(dataset=dataset, version=one.version, by=user_name(), reason=reason)
    key = Key("pipeline", pipeline.name)
    if await send_and_wait(store, here.home, key, message, wait=wait):
        click.echo(f"{dataset} {short(one.version)} is not accepted any more: its gate stops runs.")
    for place, number in await _serving(store, pipeline.name, one.key):
        click.echo(
            f"{place} serves v{number}, which was made from it; `headgate rollback {place}` takes "
            "that back."
        )


async def _serving(store: Store, pipeline: str, key: str) -> list[tuple[str, int]]:
    """Where a version serves that was made from the accepted data."""
    versions, found = Versions(store), []
    for env in parse_all(await store.list("environment"), EnvironmentState):
        if env.pipeline != pipeline or env.stable is None:
            continue
        version = await versions.get(pipeline, env.stable.version)
        if version is not None and any(one.key == key for one in version.accepted_versions):
            found.append((env.place, env.stable.version))
    return found
