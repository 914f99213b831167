"""Applies `ReportPolicy`: compares the rules of a pull request with those of its base."""

import asyncio
from collections.abc import Mapping, Sequence

from controller.config.secrets import Secrets
from controller.git.repositories import Repositories
from controller.machine.actions import ReportPolicy
from controller.machine.core import Envelope, Key
from controller.machine.pipelines.code import Code
from controller.planning.plans import PolicyChange, compare
from controller.reports.applier import BUILT_AT_ONCE
from controller.reports.forge import CommitReport, Forge
from controller.reports.links import NOWHERE, Links
from controller.reports.policy_report import Compared, policy_report
from specs.failures import Ignore


class PolicyApplier:
    """Applies `ReportPolicy`. `links` holds the web address of each repository."""

    def __init__(
        self,
        repositories: Repositories,
        forge: Forge,
        secrets: Secrets,
        links: Mapping[str, Links] | None = None,
    ) -> None:
        self._repositories = repositories
        self._forge = forge
        self._secrets = secrets
        self._links = links or {}
        self._turn = asyncio.Semaphore(BUILT_AT_ONCE)

    async def apply(self, _owner: Key, action: ReportPolicy) -> Sequence[Envelope]:
        """Report it. Raises `Ignore` for a pipeline that neither commit has, what reading a commit
        raises, and what the forge raises."""
        async with self._turn:
            report = await self._report(action)
        await self._forge.report(report)
        return ()

    async def _report(self, action: ReportPolicy) -> CommitReport:
        repository, pipeline = action.repository, action.pipeline
        base = await self._repositories.rules(repository, action.base_commit, pipeline)
        head = await self._head(action, base)
        if base is None and head is None:
            raise Ignore(f"{pipeline} is in neither the base nor the head of #{action.pull}")
        found = PolicyChange()
        if head is not None:
            found = await compare(self._repositories, head, base, action.base_commit)
        links = self._links.get(repository, NOWHERE)
        # Secrets are redacted before Markdown escapes them, and again afterwards, since escaping
        # may itself produce the text of a secret.
        hide, redact = self._secrets.redacted, self._secrets.redact
        found = found._replace(
            changes=tuple(map(hide, found.changes)), notes=tuple(map(redact, found.notes))
        )
        report = policy_report(hide(action), Compared(base, head, found), links)
        said = {"title": redact(report.title), "text": redact(report.text)}
        return report.model_copy(update=said)

    async def _head(self, action: ReportPolicy, base: Code | None) -> Code | None:
        """The pipeline in the pull request. A spec that is too broken to have a name is taken for
        the pipeline that the base has at its path."""
        repository, commit = action.repository, action.commit
        specs = await self._repositories.specs(repository, commit)
        twins = [path for path, code in specs.items() if code.name == action.pipeline]
        if len(twins) > 1:
            why = f"two specs are named {action.pipeline}: {' and '.join(twins[:2])}"
            source = specs[twins[0]].source
            return Code(source=source, name=action.pipeline, problems=why, problem_count=1)
        found = await self._repositories.named(repository, commit, action.pipeline)
        if found is not None or base is None:
            return found
        there = await self._repositories.code(repository, commit, base.source.path)
        broken = there.spec is None and there.source.path in there.source.files
        return there if broken else None
