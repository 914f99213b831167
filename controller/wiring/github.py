"""Everything that a controller does on GitHub, made from its connection."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.config.settings import GitHubWebhook
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.github.abandoned_checks import ChecksSweep, Report
from controller.github.command_replies import CommandReplies
from controller.github.connect import Connection
from controller.github.forge import GitHubForge
from controller.github.issues import GitHubIssues
from controller.github.proposals import Proposals
from controller.github.pulls import Pulls
from controller.github.releases import GitHubReleases
from controller.github.webhooks import Hint
from controller.machine.actions import (
    AnswerCommand,
    Propose,
    ReportDeployment,
    ReportRelease,
    WithdrawProposal,
)
from controller.machine.core import Action, Envelope, Key
from controller.planning.plans import Cache
from controller.reconcile.outbox import Applier
from controller.store.protocol import Store
from controller.web import server


class GitHubReads(NamedTuple):
    """What the effects on GitHub read."""

    store: Store
    artifacts: Artifacts
    repositories: Repositories
    mirrors: Mapping[str, Mirror]
    secrets: Secrets
    home: Path
    """The controller's."""


class OnGitHub:
    """What works on GitHub; `url` is its address in a browser."""

    def __init__(self, connection: Connection, url: str, reads: GitHubReads) -> None:
        client, names = connection.client, connection.names
        store, artifacts, repositories, mirrors, secrets, home = reads
        cache = Cache(store, artifacts, home)
        self.names = names
        self.transport = connection.transport
        self.forge = GitHubForge(client, names)
        self.pulls = Pulls(client, names)
        self.issues = GitHubIssues(client, names, store)
        self.proposals = Proposals(client, names, mirrors, store, artifacts, secrets)
        self._replies = CommandReplies(client, names, cache, repositories, secrets)
        self._releases = GitHubReleases(client, names, url, secrets.redact)
        self._connection = connection
        self._store = store

    def appliers(self) -> dict[type[Action], Applier]:
        """Who applies the actions that need GitHub."""
        return {
            AnswerCommand: self._replies.apply,
            Propose: self.proposals.propose,
            ReportDeployment: self._releases.deployment,
            ReportRelease: self._releases.release,
            WithdrawProposal: self.proposals.withdraw,
        }

    def checks(self, report: Report) -> ChecksSweep:
        """The sweep of checks; `report` reports again how a run ended."""
        return ChecksSweep(self._connection.client, self.names, self._store, report)

    async def receive(
        self,
        webhook: GitHubWebhook,
        secrets: Secrets,
        send: server.Send,
        is_unhealthy: Callable[[], bool],
    ) -> None:
        """Serve webhooks until cancelled, if the settings have a secret for them.

        Raises `NeedsHuman` if that is missing or the address cannot be used.
        """
        if webhook.secret is None:
            return
        secret = secrets.expand(f"${{{webhook.secret}}}")
        listening = server.listen(webhook.host, webhook.port, [secret])
        application = server.application([secret], self.concerns, send, is_unhealthy=is_unhealthy)
        await server.serve(application, listening)

    def concerns(self, hint: Hint) -> list[Key]:
        """The repositories that a webhook hints at."""
        told = {each.lower() for each in (hint.repository, *hint.repositories)}
        return [Key("repository", name) for name, at in self.names.items() if at.lower() in told]

    async def close(self) -> None:
        await self._connection.transport.close()


async def _do_nothing(_owner: Key, _action: Action) -> tuple[Envelope, ...]:
    return ()


WITHOUT_GITHUB: Mapping[type[Action], Applier] = dict.fromkeys(
    (AnswerCommand, Propose, ReportDeployment, ReportRelease, WithdrawProposal), _do_nothing
)
"""Without GitHub these actions do nothing: the environments branch has the same facts."""
