"""Release proposals: pull requests against the environments branch."""

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.environments import BRANCH, PROPOSALS, Environments
from controller.github.client import Client
from controller.machine.actions import Propose, WithdrawProposal
from controller.machine.core import Envelope, Key, parsed
from controller.machine.environments.environment import Proposed
from controller.machine.messages import ReleaseProposed
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from controller.planning.plans import loosened_since
from controller.reports.exceptions import with_exceptions
from controller.reports.model_card import ModelCard, render
from controller.store.model_versions import Versions
from controller.store.protocol import Store
from specs.failures import Ignore, NeedsHuman, TryAgain
from validators.report import Report

POLL = 30.0
"""Seconds between checks of an open pull request without a hint from a webhook."""
RESERVE = 200
"""Requests of the rate limit that these checks leave for reports."""

log = structlog.get_logger("headgate.github")


class Proposals:
    """Applies `Propose` and `WithdrawProposal`, and observes the state of the pull requests.

    `names` has the `owner/name` of each repository on GitHub.
    """

    def __init__(
        self,
        client: Client,
        names: Mapping[str, str],
        mirrors: Mapping[str, Mirror],
        store: Store,
        artifacts: Artifacts,
        secrets: Secrets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._names = names
        self._mirrors = mirrors
        self._branches = {name: Environments(mirror) for name, mirror in mirrors.items()}
        self._store = store
        self._versions = Versions(store)
        self._artifacts = artifacts
        self._secrets = secrets
        self._clock = clock
        self._looked: dict[tuple[str, int], float] = {}

    def at(self, repository: str) -> str | None:
        """The repository's `owner/name`; None if nothing can be proposed there."""
        return self._names.get(repository)

    async def propose(self, owner: Key, action: Propose) -> Sequence[Envelope]:
        """Create the branch and its pull request, unless they exist. Raises what those raise.

        A pull request that somebody has closed or merged is not opened again.
        """
        at = self._names.get(action.repository)
        if at is None:
            raise NeedsHuman(f"the repository {action.repository} is no longer on GitHub")
        head = f"{PROPOSALS}{action.proposal}"
        pull = await self._client.find_pull(at, head=head, base=BRANCH, state="all")
        if pull is None or pull.state == "open":
            file = action.file
            subject = f"release v{action.version} to {file.environment}"
            await self._branches[action.repository].propose(file, subject, action.proposal)
            title = f"Release {file.pipeline} v{action.version} to {file.environment}"
            body = await self._body(action)
            if pull is None:
                pull = await self._client.create_pull(
                    at, title=title, head=head, base=BRANCH, body=body
                )
            elif pull.body.replace("\r\n", "\n") != body:
                pull = await self._client.update_pull(at, pull.number, body=body)
        message = ReleaseProposed(proposal=action.proposal, pull=pull.number, url=pull.url)
        return (Envelope(to=owner, id=f"proposed/{pull.number}", message=message),)

    async def withdraw(self, _owner: Key, action: WithdrawProposal) -> Sequence[Envelope]:
        """Comment the reason on the pull request, close it, and delete its branch. Idempotent."""
        at = self._names.get(action.repository)
        if at is None:
            raise Ignore(f"the repository {action.repository} is no longer on GitHub")
        head = f"{PROPOSALS}{action.proposal}"
        pull = await self._client.find_pull(at, head=head, base=BRANCH)
        if pull is not None:
            mark = f"<!-- headgate: {action.proposal} -->"
            if not await self._client.own_comments(at, pull.number, mark):
                text = f"{mark}\n{self._secrets.redact(action.text)}"
                await self._client.create_comment(at, pull.number, text, mark=mark)
            await self._client.update_pull(at, pull.number, state="closed")
        await self._branches[action.repository].withdraw(action.proposal)
        return ()

    async def look(
        self, repository: str, number: int, tip: str | None, *, at_once: bool
    ) -> Proposed | None:
        """The state of the pull request; None if it is too early to ask, or GitHub fails.

        It has landed if `tip`, the head of the environments branch, contains its merge commit.
        """
        at, now = self._names.get(repository), self._clock()
        due = at_once or now - self._looked.get((repository, number), -POLL) >= POLL
        if at is None or not due:
            return None
        self._looked[repository, number] = now
        try:
            pull = await self._client.pull(at, number, reserve=RESERVE)
            if pull.merged:
                self._looked.pop(
                    (repository, number)
                )  # almost done: only its commit has to be fetched
                return Proposed(
                    pull=number,
                    state="merged",
                    by=pull.merged_by,
                    landed=await self._has_landed(repository, pull.merge_sha, tip),
                )
            if pull.state == "open":
                return Proposed(pull=number, state="open")
            return Proposed(
                pull=number, state="closed", by=await self._client.closed_by(at, number)
            )
        except (NeedsHuman, TryAgain) as failure:
            log.warning("the state of a proposal cannot be read", pull=number, reason=str(failure))
            return None

    async def _has_landed(self, repository: str, merge: str | None, tip: str | None) -> bool:
        if merge is None or tip is None:
            return False
        return await self._mirrors[repository].is_ancestor(merge, tip)

    async def _body(self, action: Propose) -> str:
        pipeline = action.file.pipeline
        version = await self._versions.get(pipeline, action.version)
        if version is None:
            raise NeedsHuman(f"there is no version {action.version} of {pipeline}")
        number = action.baseline
        baseline = await self._versions.get(pipeline, number) if number is not None else None
        hide = self._secrets.redacted
        changed = action.file.changed
        card = ModelCard(
            version=hide(version),
            baseline=baseline,
            compared_with=await self._compared_with(version),
            reports={name: hide(one) for name, one in (await self._reports(version)).items()},
            environment=action.file.environment,
            by=changed.by if changed else "",
            why=self._secrets.redact(changed.reason) if changed else "",
            loosened=await self._loosened(action.repository, baseline, version),
        )
        return self._secrets.redact(render(card))

    async def _compared_with(self, version: ModelVersion) -> int | None:
        """The baseline of its run; None if the run is no longer known or had none."""
        record = await self._store.get(Key("run", version.run))
        return parsed(Run, record.body).baseline if record else None

    async def _loosened(
        self, repository: str, was: ModelVersion | None, now: ModelVersion
    ) -> Sequence[RuleChange] | None:
        """How the rules that judged each of them differ; None if that is unknown."""
        if was is None:
            return None
        try:
            found = await loosened_since(self._mirrors[repository], was, now)
            return tuple(map(self._secrets.redacted, found.changes))
        except NeedsHuman as failure:
            log.warning("the rules of a release cannot be compared", reason=str(failure))
            return None

    async def _reports(self, version: ModelVersion) -> dict[str, Report]:
        """The reports of its gates, by gate, without lost ones."""
        found: dict[str, Report] = {}
        for gate, digest in version.reports.items():
            try:
                content = await self._artifacts.read_bytes(digest)
            except NeedsHuman as failure:
                log.warning("the report of a gate is lost", gate=gate, reason=str(failure))
                continue
            found[gate] = Report.model_validate_json(content)
        return with_exceptions(found, version.accepted_versions, version.fallbacks)
