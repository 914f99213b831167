"""A released version, for tests of what is done with one: a commit, a stored model, a store."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from controller.artifacts import Artifacts
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.core import Fact, Key
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import SourceTree
from controller.store.model_versions import Versions
from controller.store.protocol import Transaction
from controller.store.sqlite import SqliteStore
from specs.digests import digest
from specs.model import Pipeline
from tests.controller.git.git_server import Person


class Released(NamedTuple):
    """Where v1 of the pipeline `mean` is had."""

    versions: Versions
    repositories: Repositories
    artifacts: Artifacts
    store: SqliteStore


@asynccontextmanager
async def released(
    root: Path, release: Mapping[str, Any], files: Mapping[str, str], **parts: Any
) -> AsyncIterator[Released]:
    """v1, of a commit with `files`, with that `release` and other parts of a spec."""
    person = Person(root / "ada")
    commit = person.push({"README.md": "mean", **files})
    mirror = Mirror(str(person.remote), root / "mirror.git")
    await mirror.fetch()
    model = root / "model.json"
    model.write_text('{"mean": 2}')
    artifacts = Artifacts(root / "artifacts")
    spec = Pipeline.model_validate(
        {
            "apiVersion": "headgate.dev/v1",
            "kind": "MLPipeline",
            "metadata": {"name": "mean"},
            "steps": {"train": {"run": "x {outputs.model}", "outputs": {"model": "model.json"}}},
            "model": "steps.train.model",
            "release": release,
            **parts,
        }
    )
    tree = await mirror.files(commit)
    source = SourceTree(repository="team", commit=commit, folder="", files=tree)
    version = ModelVersion(
        pipeline="mean",
        number=1,
        digest=digest("package"),
        model=(await artifacts.put(model)).digest,
        run="mean-1",
        source=source,
        branch="main",
        datasets={},
        verdicts={},
        spec=spec,
        created=0.0,
    )
    store = await SqliteStore.open(root / "state.db")
    try:
        fact = Fact(key=Key("model", "mean/1"), body=version.model_dump(mode="json"))
        await store.commit(Transaction(facts=(fact,)), 0.0)
        repositories = Repositories({"team": mirror}, root / "checkouts")
        yield Released(Versions(store), repositories, artifacts, store)
    finally:
        await store.close()
