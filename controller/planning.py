"""Gathers what a plan is made of: the files of a commit or work tree, datasets, the last run."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from controller.datasets import LocalBucket
from controller.git.values import parse_tree
from controller.machine.core import Key
from controller.machine.data import place
from controller.machine.environment import Environment
from controller.machine.graph import Baseline, Graph, Source, build
from controller.machine.pipeline import Pipeline
from controller.machine.plan import (
    Earlier,
    Plan,
    PlannedData,
    forecast,
    longest_path,
    nothing_changed,
    took,
)
from controller.machine.policy import changes
from controller.machine.run import Hit, Run
from controller.outbox import parsed
from controller.store.protocol import Store
from controller.versions import Versions
from specs.failures import Failure, NeedsHuman
from specs.lint import check
from specs.load import Loaded
from specs.model import SPEC_FILE
from specs.model import Pipeline as Spec

WORK_TREE = "the work tree"
HISTORY = 20
"""Runs that are looked through for how long a node takes."""


class Checkout(NamedTuple):
    """A spec's folder in somebody's clone."""

    top: Path
    folder: str
    """Of the spec, in the repository; `` for its top."""


def checkout_of(path: Path) -> Checkout:
    """The clone that a spec's folder is in. Raises NeedsHuman outside of one."""
    top = Path(_git(path, "rev-parse", "--show-toplevel").decode().strip())
    folder = path.resolve().relative_to(top.resolve()).as_posix()
    return Checkout(top, "" if folder == "." else folder)


def work_tree(checkout: Checkout) -> dict[str, str]:
    """The files as a commit of the work tree would hold them, by the same ids as `Mirror.files`.

    git itself says it, with its filters and ignore rules, on a copy of the index and with a place
    of its own for new objects: nothing in the clone changes.
    """
    own = Path(_git(checkout.top, "rev-parse", "--absolute-git-dir").decode().strip())
    shared = Path(_git(checkout.top, "rev-parse", "--git-common-dir").decode().strip())
    objects = (checkout.top / shared / "objects").resolve()
    with tempfile.TemporaryDirectory(prefix="headgate-plan-") as scratch:
        index, fresh = Path(scratch) / "index", Path(scratch) / "objects"
        fresh.mkdir()
        if (own / "index").exists():
            shutil.copyfile(own / "index", index)
        extra = {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(fresh),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git(checkout.top, "add", "--all", extra=extra)
        tree = _git(checkout.top, "write-tree", extra=extra).decode().strip()
        return parse_tree(_git(checkout.top, "ls-tree", "-r", "-z", tree, extra=extra))


def files_at(checkout: Checkout, commit: str) -> dict[str, str]:
    """The files of a commit."""
    return parse_tree(_git(checkout.top, "ls-tree", "-r", "-z", "--full-tree", commit))


def commit_of(checkout: Checkout, revision: str) -> str:
    """The full id of a revision. Raises NeedsHuman for an unknown one."""
    name = f"{revision}^{{commit}}"
    try:
        out = _git(checkout.top, "rev-parse", "--verify", "--end-of-options", name)
    except NeedsHuman:
        raise NeedsHuman(
            f"there is no commit {revision!r} here; fetch it, or name another"
        ) from None
    return out.decode().strip()


def default_base(checkout: Checkout) -> str | None:
    """What a plan is compared with: where the remote's default branch was left, or HEAD."""
    for revision in ("origin/HEAD", "origin/main", "origin/master"):
        try:
            upstream = commit_of(checkout, revision)
            return _git(checkout.top, "merge-base", upstream, "HEAD").decode().strip()
        except NeedsHuman:
            continue
    try:
        return commit_of(checkout, "HEAD")
    except NeedsHuman:
        return None


def spec_at(checkout: Checkout, commit: str, files: Mapping[str, str]) -> Loaded | None:
    """The spec at a commit, checked; None where there is none."""
    source = Source(repository="", commit=commit, folder=checkout.folder, files=files)
    path = source.within(SPEC_FILE)
    if path not in files:
        return None
    return check(_git(checkout.top, "show", f"{commit}:{path}"), path, source.below.keys())


async def plan(
    spec: Spec,
    source: Source,
    folder: Path,
    *,
    base: Spec | None = None,
    base_commit: str | None = None,
    store: Store | None = None,
) -> Plan:
    """What a run of `spec` at `source` would do. `folder` is where the spec's files are.

    Without a store everything runs, and says that there is nothing to compare with.
    """
    known = await _known(store, spec.metadata.name) if store else _Known()
    graph = build(spec, source, known.baseline)
    data = [await _dataset(spec, name, source.commit, folder, known) for name in spec.datasets]
    versions = {each.name: each.version for each in data if each.version}
    cache: dict[str, Hit | None] = {}
    while True:
        nodes, wanted = forecast(graph, versions, cache, known.earlier)
        if not wanted:
            break
        cache |= {key: await _look_up(store, key) for key in wanted}
    everything = len(versions) == len(spec.datasets)
    return Plan(
        pipeline=spec.metadata.name,
        commit=source.commit,
        compared_with=known.earlier.run if known.earlier else None,
        nothing_to_do=everything and nothing_changed(graph, versions, known.earlier),
        nodes=nodes,
        datasets=tuple(data),
        baseline=known.baseline.version if known.baseline else None,
        policy=changes(base, spec) if base is not None else (),
        policy_base=base_commit if base is not None else None,
        seconds=longest_path(graph, nodes),
        notes=_notes(store, known),
    )


class _Known(NamedTuple):
    """What the store knows of a pipeline."""

    state: Pipeline | None = None
    earlier: Earlier | None = None
    baseline: Baseline | None = None


def _notes(store: Store | None, known: _Known) -> tuple[str, ...]:
    if store is None:
        return ("no controller's state is at hand, so nothing is taken as cached",)
    if known.state is None:
        return ("the controller has not seen this pipeline yet",)
    return ()


async def _known(store: Store, name: str) -> _Known:
    record = await store.get(Key("pipeline", name))
    if record is None:
        return _Known()
    state = parsed(Pipeline, record.body)
    last = state.last.get(state.default_branch)
    earlier = await _earlier(store, name, last.run) if last else None
    return _Known(state=state, earlier=earlier, baseline=await _baseline(store, name))


async def _earlier(store: Store, pipeline: str, name: str) -> Earlier | None:
    run, graph = await store.get(Key("run", name)), await store.get(Key("graph", name))
    if run is None or graph is None:
        return None
    seconds: dict[str, float] = {}
    for record in reversed(await store.list("run", f"{pipeline}-", HISTORY)):
        one = parsed(Run, record.body)
        if one.pipeline == pipeline:
            seconds |= took(one)
    return Earlier(
        run=name,
        graph=parsed(Graph, graph.body),
        datasets=parsed(Run, run.body).datasets,
        seconds=seconds,
    )


async def _baseline(store: Store, pipeline: str) -> Baseline | None:
    record = await store.get(Key("environment", f"{pipeline}/production"))
    stable = parsed(Environment, record.body).stable if record else None
    version = await Versions(store).get(pipeline, stable.version) if stable else None
    if version is None:
        return None
    return Baseline(
        version=version.number,
        digest=version.digest,
        model=version.model,
        spec=version.spec,
        source=version.source,
    )


async def _dataset(spec: Spec, name: str, commit: str, folder: Path, known: _Known) -> PlannedData:
    """The version that a run would pin: listed here, or else what the controller last saw."""
    dataset = spec.datasets[name]
    seen = known.state.data.get(place(spec, name, commit)) if known.state else None
    version = problem = None
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-plan-") as scratch:
            # A plan does not wait for files to settle; one that changes meanwhile is left out.
            bucket = LocalBucket(Path(scratch), clock=lambda: 0.0)
            listing = await bucket.list(dataset.uri, repository=folder)
        if listing.manifest.entries:
            version = listing.manifest.digest
        else:
            problem = f"there is no object at {dataset.uri}"
    except Failure as failure:
        problem = str(failure)
    if version is None and seen is not None and seen.ready is not None:
        version, problem = seen.ready, None
    return PlannedData(
        name=name,
        uri=dataset.uri,
        version=version,
        was=known.earlier.datasets.get(name) if known.earlier else None,
        problem=problem,
        gate=dataset.expectations,
    )


async def _look_up(store: Store | None, key: str) -> Hit | None:
    record = await store.get(Key("cache", key)) if store else None
    return parsed(Hit, record.body) if record else None


def _git(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> bytes:
    """git in somebody's clone, with their own configuration. Raises NeedsHuman."""
    command: Sequence[str] = ("git", "-c", "core.quotePath=false", *arguments)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"} | dict(extra or {}),
        )
    except FileNotFoundError:
        raise NeedsHuman("git is not installed, or not on PATH: install git") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if any("not a git repository" in line for line in said):
            raise NeedsHuman(f"{folder} is in no git repository; `git init` makes it one")
        raise NeedsHuman(f"git {arguments[0]}: {said[-1] if said else 'failed'}")
    return done.stdout


def gather(
    path: Path, revision: str | None, base: str | None
) -> tuple[Checkout, Source, Loaded, Spec | None, str | None]:
    """The spec that is planned and the one whose rules it is compared with."""
    checkout = checkout_of(path)
    commit = commit_of(checkout, revision) if revision else None
    files = files_at(checkout, commit) if commit else work_tree(checkout)
    source = Source(
        repository=checkout.top.name,
        commit=commit or WORK_TREE,
        folder=checkout.folder,
        files=files,
    )
    if commit:
        loaded = spec_at(checkout, commit, files)
    else:
        file = path / SPEC_FILE
        content = file.read_bytes() if file.is_file() else None
        loaded = check(content, str(file), source.below.keys()) if content is not None else None
    if loaded is None:
        raise NeedsHuman(f"there is no {SPEC_FILE} in {path}; `headgate init` writes one")
    other = commit_of(checkout, base) if base else default_base(checkout)
    if other is None:
        return checkout, source, loaded, None, None
    theirs = spec_at(checkout, other, files_at(checkout, other))
    return checkout, source, loaded, theirs.pipeline if theirs else None, other
