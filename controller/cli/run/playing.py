"""`headgate run`, if there is something to run: the whole of it, with a controller of its own."""

import asyncio
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from controller.artifacts import Artifacts
from controller.blobs.last_use import UMASK, remove_tree
from controller.cli.failures import Failed
from controller.cli.look.lookup import read_reports
from controller.cli.run import last_result
from controller.cli.run import progress as running
from controller.cli.run.data_now import stores
from controller.cli.run.heading import print_heading
from controller.cli.run.last_result import Options
from controller.cli.run.progress import FinishedRun
from controller.config import logs
from controller.machine.pipelines.data import is_committed, versioned
from controller.machine.pipelines.plan import Plan
from controller.machine.runs.execution import is_repeatable, stale_at
from controller.machine.runs.graph import Rules, SourceTree
from controller.machine.runs.referenced_files import paths_elsewhere, referenced_files
from controller.machine.runs.run import RENEWED, Run
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

WORDS = 16_000
"""Bytes of a failed step's log that its last lines are taken from."""


def play(options: Options) -> None:
    """Run it, print how it ends, and exit with the code that says so."""
    asked = _asked(
        spec_argument(options.path, options.spec_file, "headgate run"), options.commit, options.base
    )._replace(fresh=options.no_cache)
    plan = _rules_that_change(asked, options.base) if options.base else None
    logs.set_up(level="ERROR")
    guard = running.Guard(options.form == "github")
    with guard:
        left_out = _left_out(asked) if options.commit == "HEAD" else []
        print_heading(asked.spec.metadata.name, asked.source.commit, asked.subject, left_out)
        with _home(asked.checkout, options.home, options.forget) as folder:
            last = last_result.place(folder, asked.checkout.top, options)
            last.unlink(missing_ok=True)  # from now on, this run is the last
            ended = asyncio.run(_play(asked, folder, last))
        running.finish(ended)
        code = running.judge_rules(ended.played.run, plan, options.accept_rules)
    played = ended.played
    told = build(played.end, played.run, played.graph, ended.reports, plan, again=_again(asked))
    if options.report is not None:
        options.report.write_text(told.text, encoding="utf-8")
    if options.form == "github":
        running.tell_github(told, ended.verdict, options.report, os.environ)
    sys.exit(code)


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


async def _play(asked: here.RunRequest, home: Path, last: Path) -> FinishedRun:
    stop = here.Stop(asyncio.Event(), asyncio.Event())

    def end() -> None:
        (stop.hurried if stop.asked.is_set() else stop.asked).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with here.at_home(home, asked.checkout, stop, stores()) as app:
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
        ended = FinishedRun(
            here.EndedRun(hide(played.run), hide(played.graph), hide(played.end)),
            {name: hide(each) for name, each in reports.items()},
            lost,
            words,
        )
        await _remember(ended, asked, app.artifacts, last)
        return ended


async def _remember(
    ended: FinishedRun, asked: here.RunRequest, artifacts: Artifacts, last: Path
) -> None:
    """Keep the result for the next call, if that would take every node from the cache."""
    run, graph = ended.played.run, ended.played.graph
    data = _data(asked, run)
    if asked.rules is not None or data is None or not is_repeatable(run, graph) or ended.lost:
        return
    outputs = [node.outputs or {} for node in run.nodes.values()]
    blobs = await artifacts.blobs({digest for each in outputs for digest in each.values()})
    result = last_result.LastResult(
        made_by=last_result.installed(),
        commit=run.commit,
        pipeline=run.pipeline,
        subject=asked.subject,
        run=run.id,
        code=running.CODES[run.outcome],
        gates=running.gates_of(ended),
        outcome=running.repeated(run),
        width=last_result.width(),
        colour=sys.stdout.isatty(),
        files=sorted(blobs.files),
        folders=sorted(blobs.folders),
        until=min(stale_at(run, graph) or math.inf, time.time() + RENEWED),
        data=data,
        reads_elsewhere=bool(paths_elsewhere(asked.spec)),
    )
    last_result.keep(last, result)


def _data(asked: here.RunRequest, run: Run) -> list[last_result.Data] | None:
    """The versions of its data that another call would look up again: not of what is committed.
    None if some are asked of a database."""
    datasets = {name: asked.spec.datasets[name] for name in versioned(asked.spec)}
    if any(dataset.query is not None for dataset in datasets.values()):
        return None
    trigger = asked.spec.triggers.data
    return [
        (
            dataset.uri or "",
            trigger.marker if trigger and name in trigger.datasets else None,
            run.datasets[name],
        )
        for name, dataset in datasets.items()
        if not is_committed(dataset)
    ]


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
        folder = given.absolute() if given else last_result.home_in(git_folder(checkout))
    before = os.umask(UMASK)
    try:
        yield folder
    finally:
        os.umask(before)  # the report may be read by anybody
        remove_tree(folder if forget else folder / "checkouts")
        for inside, _, _ in os.walk(folder / "datasets"):
            if not os.access(inside, os.W_OK):
                Path(inside).chmod(0o755)
