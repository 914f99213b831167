"""Creates the Job of an attempt, with all that belongs to it."""

import asyncio
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.job import (
    is_of,
    job_of,
    network_policy,
    owned_by,
    secret_of,
)
from controller.executors.kubernetes.names import job_name
from controller.executors.kubernetes.staging import AttemptStaging
from controller.executors.working_copy import GIVEN, given_as_text
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, explained
from deployers.kubernetes.profile import DEFAULT_PROFILE, ClusterProfile
from specs.failures import Failure, NeedsHuman


class Launcher:
    """Creates Jobs in the settings' namespace, as those of an owner."""

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        settings: KubernetesSettings,
        staging: AttemptStaging | None,
        owner: Callable[[], str],
    ) -> None:
        """Without `staging` there is no artifact store that pods reach."""
        self._owner = owner
        self._workspace = workspace
        self._cluster = cluster
        self._settings = settings
        self._staging = staging
        self._policy: asyncio.Task[Manifest] | None = None

    @cached_property
    def owner(self) -> str:
        """The identity of the controller's home."""
        return self._owner()

    def profile_of(self, attempt: Attempt) -> ClusterProfile:
        """The attempt's profile; the default if it was removed from the settings since."""
        found = self._settings.profile(attempt.profile)
        return found or self._settings.profile(None) or ClusterProfile()

    async def prepare(self, attempt: Attempt, own: Path) -> Manifest:
        """Put what it needs into the artifact store. `own` is the attempt's folder here.

        Raises `Failure` and `TemplateError`.
        """
        self._refuse_impossible(attempt)
        assert self._staging is not None
        values = self._workspace.secrets.reveal(attempt.secrets)
        staged = await self._staging.stage(attempt)
        checkout = await self._workspace.checkouts.folder(attempt.repository, attempt.commit)
        note = given_as_text(checkout, attempt.folder, attempt.files)
        (own / GIVEN).write_text(note)
        await self._ensure_policy(attempt)
        if values:  # without an owner yet; `reap` removes it if it never gets one
            secret = secret_of(attempt, values, self._settings.namespace, self.owner)
            await self._cluster.apply("secrets", secret)
        return job_of(attempt, *staged, self._settings, self.owner)

    async def create(self, attempt: Attempt, manifest: Manifest) -> Manifest:
        """Create the Job, or find the one that was created before. Raises `ApiRefusal` if there is
        none, and `TryAgain` if that is unknown."""
        name = job_name(self.owner, attempt.id)
        try:
            job = await self._cluster.create("jobs", manifest)
        except ApiRefusal as refusal:
            if refusal.code != 409:
                raise
            found = await self._cluster.get("jobs", name)
            if found is None or found["metadata"].get("deletionTimestamp"):
                raise ApiRefusal(409, "Conflict", f"the Job {name} is being deleted") from None
            if not is_of(found, attempt):
                raise ApiRefusal(
                    400, "AlreadyExists", f"the Job {name} is not this one's"
                ) from None
            job = found
        if attempt.secrets:
            await self._cluster.patch("secrets", name, owned_by(job))
        return job

    def explain(self, refusal: ApiRefusal) -> Failure:
        """Why a Job cannot be created, with the fix."""
        if refusal.code == 422 or (refusal.code == 400 and refusal.reason != "AlreadyExists"):
            return NeedsHuman(
                f"the cluster refuses its Job: {refusal.message}; correct the step, or the profile "
                "in the settings"
            )
        return explained(refusal, "create jobs")

    def _refuse_impossible(self, attempt: Attempt) -> None:
        if attempt.program != "step":
            raise NeedsHuman(f"{attempt.node} is one of Headgate's own programs, which run locally")
        if attempt.image is None:
            built = "an image that is built has to be pushed to a registry, and named by `image`"
            what = built if attempt.build else "give it an `image`"
            raise NeedsHuman(f"{attempt.node} runs on Kubernetes and has no `image`: {what}")
        if self._staging is None:
            raise NeedsHuman(
                "steps on Kubernetes need an artifact store that pods reach: set `artifacts` in "
                "headgate.yaml to s3://, gs:// or az:// with a prefix"
            )
        profile = self._settings.profile(attempt.profile)
        if profile is None:
            known = ", ".join(sorted(self._settings.profiles)) or "none"
            raise NeedsHuman(
                f"there is no profile {attempt.profile} in `kubernetes.profiles` of the settings "
                f"(there is: {known}); name one of these, or have it added"
            )
        if profile.trusted and not attempt.trusted:
            raise NeedsHuman(
                f"the profile {attempt.profile or DEFAULT_PROFILE} is for runs of a branch that "
                "may release: name another for pull requests, or have `trusted` of it removed"
            )
        confined = not attempt.network and self._settings.network_policy
        if confined and not self._settings.store_networks:
            raise NeedsHuman(
                "set `kubernetes.store_networks` in headgate.yaml to where the artifact store is: "
                "a NetworkPolicy keeps pods off every other network; or give the step `network: "
                "true`, or set `kubernetes.network_policy: false`"
            )

    async def _ensure_policy(self, attempt: Attempt) -> None:
        """Apply the NetworkPolicy, once in the life of this controller."""
        if attempt.network or not self._settings.network_policy:
            return
        if self._policy is None:
            policy = network_policy(self._settings)
            self._policy = asyncio.create_task(self._cluster.apply("networkpolicies", policy))
        try:
            await asyncio.shield(self._policy)
        except Exception:
            self._policy = None
            raise
