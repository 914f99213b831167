"""Releases on GitHub: deployments to staging and production, and commit statuses."""

from collections.abc import Callable, Mapping, Sequence

from controller.git.environments import BRANCH
from controller.github.client import LONGEST_DESCRIPTION, Client
from controller.machine.actions import ReportDeployment, ReportRelease
from controller.machine.core import Envelope, Key
from controller.machine.environments.file import path_of
from controller.reports.forge import name_of
from specs.failures import Ignore
from specs.figures import clip


class GitHubReleases:
    """Applies `ReportDeployment` and `ReportRelease`.

    `names` has the `owner/name` on GitHub of each repository; others are ignored. `url` is GitHub's
    web address. Texts that are cut to fit are complete in the environment's file, which is linked.
    """

    def __init__(
        self, client: Client, names: Mapping[str, str], url: str, redact: Callable[[str], str]
    ) -> None:
        self._client = client
        self._names = names
        self._url = url.rstrip("/")
        self._redact = redact
        self._found: dict[tuple[str, str, str], int] = {}
        """Numbers of deployments by repository, commit and mark."""

    async def deployment(self, _owner: Key, action: ReportDeployment) -> Sequence[Envelope]:
        """Report the progress of a rollout. Raises `Ignore`, and what `Client` raises."""
        at = self._at(action)
        number = await self._deployment(at, action)
        # GitHub never sets production inactive by itself, so the machine does it everywhere.
        await self._client.deployment_status(
            at,
            number,
            state=action.state,
            description=self._said(f"v{action.version}: {action.text}"),
            log_url=self._history(at, action),
            auto_inactive=False,
        )
        return ()

    async def release(self, _owner: Key, action: ReportRelease) -> Sequence[Envelope]:
        """Set the commit's status. Raises `Ignore`, and what `Client` raises."""
        at = self._at(action)
        await self._client.create_status(
            at,
            action.commit,
            state="success" if action.healthy else "failure",
            context=f"{name_of(action.pipeline)} / {action.environment}",
            description=self._said(action.text),
            url=self._history(at, action),
        )
        return ()

    async def _deployment(self, at: str, action: ReportDeployment) -> int:
        """The rollout's deployment, which a controller that died may have created."""
        key = (at, action.commit, action.mark)
        if key not in self._found:
            listed = await self._client.list_deployments(
                at, sha=action.commit, environment=action.shown
            )
            number = next((one.id for one in listed if one.mark == action.mark), None)
            if number is None and action.state == "inactive":
                raise Ignore("there is no deployment to mark as inactive")
            self._found[key] = number or await self._created(at, action)
        return self._found[key] if action.state != "inactive" else self._found.pop(key)

    async def _created(self, at: str, action: ReportDeployment) -> int:
        made = await self._client.create_deployment(
            at,
            sha=action.commit,
            environment=action.shown,
            mark=action.mark,
            description=f"{action.pipeline} v{action.version}",
            production=action.environment == "production",
        )
        return made.id

    def _at(self, action: ReportDeployment | ReportRelease) -> str:
        at = self._names.get(action.repository)
        if at is None:
            raise Ignore(f"{action.repository} is not on GitHub")
        return at

    def _history(self, at: str, action: ReportDeployment | ReportRelease) -> str:
        """The release history on the environments branch."""
        return f"{self._url}/{at}/commits/{BRANCH}/{path_of(action.environment, action.pipeline)}"

    def _said(self, text: str) -> str:
        return clip(self._redact(text), LONGEST_DESCRIPTION)
