"""Applies `ReportPolicy`: compares the rules of a pull request with its base's, and says so."""

from collections.abc import Mapping, Sequence

from controller.kinds.code import Repositories
from controller.machine.actions import ReportPolicy
from controller.machine.core import Key, Message
from controller.plans import Policy, compare
from controller.reports.links import NOWHERE, Links
from controller.reports.policy import Compared, policy_report
from controller.reports.protocol import Forge
from controller.secrets import Secrets
from specs.failures import Ignore


class PolicyApplier:
    """Applies `ReportPolicy`. `links` says by repository where it is looked at in a browser."""

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

    async def apply(self, _owner: Key, action: ReportPolicy) -> Sequence[Message]:
        """Report it. Raises `Ignore` for a pipeline that is nowhere, what reading a commit raises,
        and what the forge raises."""
        repository, pipeline = action.repository, action.pipeline
        base = await self._repositories.rules(repository, action.base_commit, pipeline)
        head = await self._repositories.named(repository, action.commit, pipeline)
        if base is None and head is None:
            raise Ignore(f"{pipeline} is on neither side of #{action.pull}")
        found = Policy()
        if head is not None:
            found = await compare(self._repositories.mirror(repository), head, base)
        links = self._links.get(repository, NOWHERE)
        report = policy_report(action, Compared(base, head, found), links)
        redact = self._secrets.redact
        said = {"title": redact(report.title), "text": redact(report.text)}
        await self._forge.report(report.model_copy(update=said))
        return ()
