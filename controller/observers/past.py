"""Reads what the environments branch says of an environment that the state does not know."""

from collections.abc import Mapping

from controller.artifacts import Artifacts
from controller.git.environments import Environments, FileRevision, is_ours, rollout_of
from controller.git.repositories import Repositories
from controller.machine.environments.environment import REMEMBERED, PastReleases, named_version
from controller.machine.environments.file import NamedModel
from controller.machine.pipelines.version import ModelVersion, Ref
from controller.machine.runs.graph import package_of
from controller.machine.runs.graph_builder import build
from controller.store.model_versions import Versions
from specs.failures import NeedsHuman

_OF_ROLLOUT = ("smoke", "canary")
"""Verdicts that belong to a rollout, and not to the version."""


class PastReader:
    """Rebuilds model versions from Headgate's own commits on the environments branch.

    A version counts only if its spec and its artifact, which has to be there, give its digest.
    """

    def __init__(
        self,
        repositories: Repositories,
        branches: Mapping[str, Environments],
        versions: Versions,
        artifacts: Artifacts,
    ) -> None:
        self._repositories = repositories
        self._branches = branches
        self._versions = versions
        self._artifacts = artifacts

    async def read(
        self, repository: str, pipeline: str, name: str, tip: str
    ) -> PastReleases | None:
        """What the branch says at its commit `tip`; None if Headgate never wrote the file.

        Raises TryAgain while the artifacts are out of reach.
        """
        said = await self._branches[repository].past(name, pipeline, tip)
        ours = [one for one in said if one.file is not None and is_ours(one.commit)]
        if not ours or ours[0].file is None:
            return None
        first: dict[Ref, FileRevision] = {}
        for one in ours:
            ref = named_version(one.file)
            if ref is not None:
                first.setdefault(ref, one)
        versions: dict[int, ModelVersion] = {}
        lacking: dict[int, str] = {}
        for ref, one in list(first.items())[: REMEMBERED + 1]:
            if ref.version in versions or ref.version in lacking:
                continue
            try:
                versions[ref.version] = await self._version(repository, pipeline, ref, one)
            except NeedsHuman as failure:
                lacking[ref.version] = str(failure)
        return PastReleases(
            commit=ours[0].commit.sha,
            file=ours[0].file,
            named=tuple(first),
            versions=versions,
            lacking=lacking,
            rollouts=max(rollout_of(one.commit, f"{pipeline}-{name}") for one in ours),
        )

    async def _version(
        self, repository: str, pipeline: str, ref: Ref, said: FileRevision
    ) -> ModelVersion:
        """The version, from the store or rebuilt. Raises `NeedsHuman` if that is impossible."""
        known = await self._versions.get(pipeline, ref.version)
        if known is not None and known.ref == ref:
            return known
        if known is not None:
            raise NeedsHuman(f"the state has a different v{ref.version}, {known.ref}")
        assert said.file is not None
        assert said.file.model is not None
        model, commit = said.file.model, said.file.model.commit[:12]
        if model.artifact is None:
            raise NeedsHuman("an older Headgate wrote it, without the digest of its artifact")
        code = await self._repositories.named(repository, model.commit, pipeline)
        if code is None or code.spec is None or code.spec.release is None:
            raise NeedsHuman(f"commit {commit} has no valid spec of {pipeline}")
        if package_of(build(code.spec, code.source), model.artifact) != ref.digest:
            raise NeedsHuman(f"commit {commit} does not give its digest; has an image tag moved?")
        if not await self._artifacts.has(model.artifact):
            raise NeedsHuman(f"its artifact {model.artifact} is gone")
        verdicts = {g: v for g, v in said.file.verdicts.items() if g not in _OF_ROLLOUT}
        return ModelVersion(
            pipeline=pipeline,
            number=ref.version,
            digest=ref.digest,
            model=model.artifact,
            run=model.run,
            source=code.source,
            branch=await self._repositories.mirror(repository).default_branch() or "",
            datasets=_datasets(model),
            verdicts=verdicts,
            spec=code.spec,
            created=float(said.commit.time),
        )


def _datasets(model: NamedModel) -> dict[str, str]:
    return {str(name): str(digest) for name, digest in model.datasets.items()}
