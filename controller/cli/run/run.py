"""`headgate run`."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from controller.blobs.last_use import UMASK, remove_tree
from controller.cli.context import find_settings, read_settings
from controller.cli.failures import Failed
from controller.cli.folders import spec_option
from controller.cli.look.lookup import read_reports
from controller.cli.run import progress as running
from controller.cli.run.progress import FinishedRun
from controller.config import logs
from controller.config.settings import ObjectStore
from controller.machine.pipelines.plan import Plan
from controller.machine.runs.graph import Rules, SourceTree
from controller.machine.runs.referenced_files import referenced_files
from controller.planning.checkout import (
    WORK_TREE,
    Checkout,
    about,
    checkout_of,
    commit_of,
    files_at,
    git_folder,
    source_of,
    spec_at,
    specs_among,
    specs_of,
    with_project,
    work_tree,
)
from controller.planning.choosing import SpecArgument, choose, spec_argument, specs_in
from controller.planning.gathering import policy_of, rules_at
from controller.reports.commit_report import build
from controller.wiring import local_run as here
from specs.loading.problems import has_errors, render_text
from specs.model import Pipeline as Spec

HOME = "headgate"
"""The name of the results folder inside the clone's git folder, where it is never committed."""
WORDS = 16_000
"""Bytes of a failed step's log that its last lines are taken from."""


@click.command(short_help="Run a commit's pipeline and its gates here.")
@click.argument("path", default=".", type=click.Path(exists=True, path_type=Path))
@spec_option
@click.option("--commit", metavar="REV", default="HEAD", help="The commit to run; by default HEAD.")
@click.option(
    "--base",
    metavar="REV",
    help="Judge by the gates of this commit and compare with its model, as for a pull request with "
    "this base; by default the commit's own gates and no model.",
)
@click.option(
    "--accept-rules",
    is_flag=True,
    help="Pass even if the commit loosens rules of --base.",
)
@click.option(
    "--home",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results are kept as a cache; by default in the clone's git folder.",
)
@click.option(
    "--no-cache", is_flag=True, help="Run every step, and keep the results for later runs."
)
@click.option("--forget", is_flag=True, help="Use no cached results and keep none.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to FILE, as Markdown.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github"]),
    default="text",
    show_default=True,
    help="For people, or for a GitHub Actions job: with annotations, a summary and outputs.",
)
def run(
    path: Path,
    spec_file: str | None,
    commit: str,
    base: str | None,
    accept_rules: bool,
    home: Path | None,
    no_cache: bool,
    forget: bool,
    report: Path | None,
    form: str,
) -> None:
    """Run the pipeline in PATH like a pull request: data gates, steps, model gate.

    It runs what is committed, prints the gates' reports, and releases nothing. The model in
    production is not known here: checks that compare with it use the model of --base, trained here
    on the same data, and are skipped without --base. The secrets that steps name come from
    HEADGATE_SECRET_NAME variables.

    The exit code is 0 if all gates pass, 4 if one stops the run, 5 if a step fails, 6 if the run
    passes but loosens rules of --base without --accept-rules, 1 if the spec is invalid, and 130
    after Ctrl-C, which stops all processes; a second Ctrl-C kills them at once.

    \b
    Example:
      headgate run flight-delay
    """
    _check_options(forget=forget and home is not None, accept=accept_rules and base is None)
    asked = _asked(spec_argument(path, spec_file, "headgate run"), commit, base)._replace(
        fresh=no_cache
    )
    plan = _rules_that_change(asked, base) if base else None
    logs.set_up(level="ERROR")
    guard = running.Guard(form == "github")
    with guard:
        left_out = _left_out(asked) if commit == "HEAD" else []
        running.begin(asked.spec.metadata.name, asked.source.commit, asked.subject, left_out)
        with _home(asked.checkout, home, forget) as folder:
            ended = asyncio.run(_play(asked, folder))
        running.finish(ended)
        code = running.judge_rules(ended.played.run, plan, accept_rules)
    played = ended.played
    told = build(played.end, played.run, played.graph, ended.reports, plan, again=_again(asked))
    if report is not None:
        report.write_text(told.text, encoding="utf-8")
    if form == "github":
        running.tell_github(told, ended.verdict, report, os.environ)
    sys.exit(code)


def _check_options(*, forget: bool, accept: bool) -> None:
    """Raises a usage error for options that cannot be combined."""
    if forget:
        raise click.UsageError("--forget and --home cannot be combined: --forget keeps no results.")
    if accept:
        raise click.UsageError("--accept-rules needs --base: it accepts rules that differ from it.")


def _asked(wanted: SpecArgument, commit: str, base: str | None) -> here.RunRequest:
    """The run of the spec at a commit, judged by the gates of `base`."""
    checkout = checkout_of(wanted.folder)
    sha = commit_of(checkout, commit)
    files = files_at(checkout, sha)
    checkout = checkout._replace(file=_chosen(wanted, checkout, sha, files))
    spec, source = _valid(checkout, sha, files)
    branch, subject = about(checkout, sha)
    return here.RunRequest(
        checkout=checkout,
        spec=spec,
        source=source,
        branch=branch,
        subject=subject,
        why=f"`headgate run` of {sha[:12]}: {subject}",
        rules=_rules(checkout, base, spec.metadata.name) if base else None,
    )


def _again(asked: here.RunRequest) -> str:
    """The command that repeats the run."""
    checkout, source = asked.checkout, asked.source
    where = checkout.folder or "."
    if len(specs_among(checkout, source.files)) > 1:
        where += f" --spec {checkout.file}"
    return f"headgate run {where} --commit {source.commit[:12]}"


def _stores() -> Sequence[ObjectStore]:
    """The object stores of the settings, if there are any."""
    path = find_settings(click.get_current_context().find_root().obj)
    settings = read_settings(path).settings if path is not None else None
    return settings.stores if settings else ()


async def _play(asked: here.RunRequest, home: Path) -> FinishedRun:
    stop = here.Stop(asyncio.Event(), asyncio.Event())

    def end() -> None:
        (stop.hurried if stop.asked.is_set() else stop.asked).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with here.at_home(home, asked.checkout, stop, _stores()) as app:
        if asked.rules is not None and here.compares(asked):
            running.begin_base(asked.rules.source.commit)
            with running.watching() as watch:
                found = await here.baseline_of_base(app, asked, watch, stop)
            running.finish_base(found)
            asked = asked._replace(baseline=found)
        with running.watching() as watch:
            played = await here.play(app, asked, watch, stop)
        nodes = [(node.name, played.run.nodes.get(node.name)) for node in played.graph.nodes]
        digests = {
            name: node.outputs["report"]
            for name, node in nodes
            if node is not None and node.verdict is not None and node.outputs
        }
        reports, lost = await read_reports(app.artifacts, digests)
        words = {
            name: app.secrets.redact(app.processes.tail(node.attempts[-1].id, WORDS))
            for name, node in nodes
            if node is not None and node.failed and node.attempts and not node.unbuilt
        }
        hide = app.secrets.redacted
        return FinishedRun(
            here.EndedRun(hide(played.run), hide(played.graph), hide(played.end)),
            {name: hide(each) for name, each in reports.items()},
            lost,
            words,
        )


def _chosen(wanted: SpecArgument, checkout: Checkout, commit: str, files: Mapping[str, str]) -> str:
    """The file name of the spec at the commit. Raises `Failed` if it is not committed."""
    names = specs_among(checkout, files)
    fresh = [name for name in specs_in(wanted.folder) if name not in names]
    if wanted.file in fresh or (not names and fresh):
        at = f"{wanted.folder} at commit {commit[:12]}"
        raise Failed(f"there is no {wanted.file or fresh[0]} in {at}. Commit it first.")
    return choose(wanted, names, specs_of(checkout, files), f" at commit {commit[:12]}")


def _valid(checkout: Checkout, commit: str, files: Mapping[str, str]) -> tuple[Spec, SourceTree]:
    loaded = spec_at(checkout, commit, files)
    assert loaded is not None, "the commit has it"
    source = source_of(checkout, here.REPOSITORY, commit, files)
    loaded, source = with_project(checkout, loaded, source)
    if loaded.pipeline is None or has_errors(loaded.problems):
        click.echo(render_text(loaded.problems, {loaded.file: loaded.text}), err=True, nl=False)
        raise Failed("the spec is invalid, so nothing was run; see above.")
    return loaded.pipeline, source


def _rules(checkout: Checkout, base: str, name: str) -> Rules | None:
    """The gates of the pipeline at that commit, or None if it had none."""
    return rules_at(checkout, commit_of(checkout, base), name, base, here.REPOSITORY)


def _rules_that_change(asked: here.RunRequest, base: str) -> Plan | None:
    """A plan that contains only how the commit changes the rules of its base, or None if the base
    has no rules."""
    if asked.rules is None:
        return None
    commit, checkout = asked.source.commit, asked.checkout
    mine = Rules(spec=asked.spec, source=asked.source)
    policy = policy_of(checkout, mine, commit, asked.rules, commit_of(checkout, base))
    return Plan(
        pipeline=asked.spec.metadata.name,
        commit=commit,
        compared_with=None,
        nothing_to_do=False,
        nodes=(),
        policy=policy.changes,
        policy_base=policy.base,
        policy_spec=policy.spec,
    )


def _left_out(asked: here.RunRequest) -> list[str]:
    """The paths, relative to the spec, where the work tree differs from the commit: in the spec's
    folder, and outside of it where the spec names them."""
    checkout, spec, source = asked.checkout, asked.spec, asked.source
    here_now = source_of(checkout, source.repository, WORK_TREE, work_tree(checkout))
    files, now = referenced_files(spec, source), referenced_files(spec, here_now)
    return sorted(path for path in {*now, *files} if now.get(path) != files.get(path))


@contextmanager
def _home(checkout: Checkout, given: Path | None, forget: bool) -> Iterator[Path]:
    """The results folder. Files that are read-only while steps run are made writable afterwards, so
    that the clone can be deleted like any other."""
    if forget:
        folder = Path(tempfile.mkdtemp(prefix="headgate-run-"))
    else:
        folder = given.absolute() if given else git_folder(checkout) / HOME
    before = os.umask(UMASK)
    try:
        yield folder
    finally:
        os.umask(before)  # the report may be read by anybody
        remove_tree(folder if forget else folder / "checkouts")
        for inside, _, _ in os.walk(folder / "datasets"):
            if not os.access(inside, os.W_OK):
                Path(inside).chmod(0o755)
