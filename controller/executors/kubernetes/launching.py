"""Creates the Job of an attempt, with all that belongs to it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.job import (
    is_of,
    job_of,
    network_policy,
    owned_by,
    pod_template_of,
    secret_of,
)
from controller.executors.kubernetes.names import job_name, kind_of
from controller.executors.kubernetes.staging import AttemptStaging, StagedAttempt
from controller.executors.kubernetes.tenancy import AttemptTenancy
from controller.executors.kubernetes.training import (
    VERSION,
    peers_policy,
    runtime_of,
    train_job_of,
)
from controller.executors.working_copy import GIVEN, given_as_text
from controller.executors.workspace import Workspace
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, explained
from deployers.kubernetes.profile import DEFAULT_PROFILE, ClusterProfile
from specs.failures import Failure, NeedsHuman, TryAgain


class Launcher:
    """Creates Jobs in the settings' namespace, as those of an owner."""

    def __init__(
        self,
        workspace: Workspace,
        cluster: Cluster,
        tenancy: AttemptTenancy,
        settings: KubernetesSettings,
        staging: AttemptStaging | None,
        owner: str,
    ) -> None:
        """`owner` is the installation's identity. Without `staging` there is no artifact store
        that pods reach."""
        self.owner = owner
        self._workspace = workspace
        self._cluster = cluster
        self._tenancy = tenancy
        self._settings = settings
        self._staging = staging
        self._policy: asyncio.Task[Manifest] | None = None

    @property
    def is_set_up(self) -> bool:
        """Whether the settings have a cluster on which attempts may run."""
        return self._staging is not None and self._settings != KubernetesSettings()

    def profile_of(self, attempt: Attempt) -> ClusterProfile:
        """The attempt's profile; the default if it was removed from the settings since."""
        found = self._settings.profile(attempt.profile)
        return found or self._settings.profile(None) or ClusterProfile()

    async def prepare(self, attempt: Attempt, own: Path) -> Manifest:
        """Put what it needs into the artifact store. `own` is the attempt's folder here.

        Raises `Failure` and `TemplateError`, and `LostLease` as `create`.
        """
        self._tenancy.check(attempt.id)
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
            await self._tenancy.cluster(attempt.id).apply("secrets", secret)
        if attempt.train is None:
            return job_of(attempt, *staged, self._settings, self.owner)
        return await self._prepare_training(attempt, staged)

    async def _prepare_training(self, attempt: Attempt, staged: StagedAttempt) -> Manifest:
        """Apply the attempt's own runtime; its TrainJob."""
        cluster = self._tenancy.cluster(attempt.id)
        template = pod_template_of(attempt, *staged, self._settings, self.owner)
        found = await self._runtime(attempt)
        own = runtime_of(found, template, attempt, self._settings, self.owner)
        await cluster.apply("trainingruntimes", own)
        if self._confines(attempt):
            policy = peers_policy(attempt, self._settings, self.owner)
            await cluster.apply("networkpolicies", policy)
        return train_job_of(attempt, self._settings, self.owner)

    async def _runtime(self, attempt: Attempt) -> Manifest:
        """The runtime that an attempt names: of the namespace, or else of the cluster."""
        assert attempt.train is not None
        name, namespace = attempt.train.runtime, self._settings.namespace
        own = await self._cluster.get("trainingruntimes", name)
        if own is not None:
            return own
        try:
            return await self._cluster.ask("GET", f"apis/{VERSION}/clustertrainingruntimes/{name}")
        except ApiRefusal as refusal:
            if refusal.code == 404 and refusal.reason != "NotFound":  # of no API that is served
                raise NeedsHuman(
                    f"{attempt.node} has `train`, and the cluster has no {VERSION}: install "
                    "Kubeflow Trainer 2, or remove `train`"
                ) from None
            if refusal.code == 404:
                raise NeedsHuman(
                    f"there is no ClusterTrainingRuntime {name}, and no TrainingRuntime of that "
                    f"name in {namespace}: correct `train.runtime` (kubectl get "
                    "clustertrainingruntimes), or have it created"
                ) from None
            if refusal.code == 403:
                raise TryAgain(
                    f"the cluster does not let Headgate read the ClusterTrainingRuntime {name}: "
                    f"copy it into {namespace} as a TrainingRuntime, or allow it by a ClusterRole: "
                    "`headgate doctor` names the rule",
                    human=True,
                    after=30.0,
                ) from None
            raise explained(refusal, "read clustertrainingruntimes") from None

    async def create(self, attempt: Attempt, manifest: Manifest) -> Manifest:
        """Create the Job or TrainJob, or find the one that was created before. Raises `ApiRefusal`
        if there is none, `TryAgain` if that is unknown, and `LostLease` if another controller may
        have the attempt."""
        name, kind = job_name(self.owner, attempt.id), kind_of(attempt)
        cluster = self._tenancy.cluster(attempt.id)
        try:
            job = await cluster.create(kind, manifest)
        except ApiRefusal as refusal:
            if refusal.code != 409:
                raise
            found = await cluster.get(kind, name)
            if found is None or found["metadata"].get("deletionTimestamp"):
                raise ApiRefusal(409, "Conflict", f"the Job {name} is being deleted") from None
            if not is_of(found, attempt):
                # Of a history that was lost: its number was given again.
                await cluster.delete(kind, name, propagationPolicy="Foreground")
                raise ApiRefusal(
                    409, "Conflict", f"the Job {name} is of an earlier run and is deleted"
                ) from None
            job = found
        for each in self._belonging(attempt):
            await cluster.patch(each, name, owned_by(job))
        return job

    def _belonging(self, attempt: Attempt) -> Iterable[str]:
        """The kinds of the objects that are deleted with an attempt's Job, and have its name."""
        if attempt.secrets:
            yield "secrets"
        if attempt.train is not None:
            yield "trainingruntimes"
            if self._confines(attempt):
                yield "networkpolicies"

    def explain(self, refusal: ApiRefusal, attempt: Attempt) -> Failure:
        """Why a Job cannot be created, with the fix."""
        if attempt.train is not None and _has_not_noticed(refusal.message):
            return TryAgain("waiting for Kubeflow Trainer to notice the runtime of its TrainJob")
        if refusal.code in (400, 422):
            return NeedsHuman(
                f"the cluster refuses its Job: {refusal.message}; correct the step, or the profile "
                "in the settings"
            )
        return explained(refusal, f"create {kind_of(attempt)}")

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
        if self._confines(attempt) and not self._settings.store_networks:
            raise NeedsHuman(
                "set `kubernetes.store_networks` in headgate.yaml to where the artifact store is: "
                "a NetworkPolicy keeps pods off every other network; or give the step `network: "
                "true`, or set `kubernetes.network_policy: false`"
            )

    def _confines(self, attempt: Attempt) -> bool:
        """Whether a NetworkPolicy keeps its pods off the network."""
        return not attempt.network and self._settings.network_policy

    async def _ensure_policy(self, attempt: Attempt) -> None:
        """Apply the NetworkPolicy, once in the life of this controller."""
        if not self._confines(attempt):
            return
        if self._policy is None:
            policy = network_policy(self._settings)
            self._policy = asyncio.create_task(self._cluster.apply("networkpolicies", policy))
        try:
            await asyncio.shield(self._policy)
        except Exception:
            self._policy = None
            raise


def _has_not_noticed(refusal: str) -> bool:
    """Whether a webhook of Trainer, or of Kueue, refuses a TrainJob as it has not seen its runtime
    yet, which was applied a moment before: their caches follow."""
    theirs = "must be created before the TrainJob" in refusal
    return theirs or ("vtrainjob.kb.io" in refusal and "not found" in refusal)
