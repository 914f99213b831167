"""Alerts as issues in the pipeline's repository: opened when they fire, closed when resolved."""

from collections.abc import Mapping

from controller.github.client import Client
from controller.github.values import Issue
from controller.machine.actions import Incident
from controller.machine.core import Key
from controller.notify import render
from controller.notify.protocol import Status
from controller.store.protocol import Store
from specs.failures import NeedsHuman

LABEL = "headgate"
"""The label of every issue of ours; only people with write access can set labels."""


class GitHubIssues:
    """Notifies by issue. `names` has the `owner/name` on GitHub of each repository."""

    def __init__(self, client: Client, names: Mapping[str, str], store: Store) -> None:
        self._client = client
        self._names = names
        self._store = store

    async def tell(self, owner: Key, incident: Incident, status: Status, alert: str) -> None:
        """Open or close the issue of an alert in the repository of `owner`.

        There is one open issue per alert. Status `info` opens none, as nothing would close it. An
        issue that a person has closed stays closed. Raises what `Client` raises, and `NeedsHuman`
        if the repository is not on GitHub.
        """
        at = await self._at(owner)
        if status == "info":
            return
        mark = f"<!-- headgate alert: {alert} -->"
        body = f"{mark}\n{render.markdown(incident, status, alert)}"
        issue = await self._issue(at, mark)
        if status == "resolved":
            if issue is not None:
                await self._close(at, issue, body, mark)
        elif issue is None:
            title = render.subject(incident, status)
            await self._client.open_issue(at, title=title, body=body, mark=mark, labels=[LABEL])

    async def _close(self, at: str, issue: Issue, body: str, mark: str) -> None:
        said = await self._client.own_comments(at, issue.number, mark)
        if not said:  # otherwise a controller died before closing the issue
            await self._client.create_comment(at, issue.number, body, mark=mark)
        await self._client.close_issue(at, issue.number)

    async def _issue(self, at: str, mark: str) -> Issue | None:
        issues = await self._client.open_issues(at, label=LABEL)
        return next((issue for issue in issues if issue.body.startswith(mark)), None)

    async def _at(self, owner: Key) -> str:
        record = await self._store.get(owner)
        repository = str(record.body.get("repository", "")) if record else ""
        at = self._names.get(repository)
        if at is None:
            raise NeedsHuman(
                f"cannot open an issue (`to: github-issue` in `notify`): the repository "
                f"{repository or 'of ' + str(owner)} is not known to be on GitHub; set its "
                "`github: OWNER/NAME` in the settings, or remove the entry"
            )
        return at
