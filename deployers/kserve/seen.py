"""PURE. What is in the cluster of an InferenceService, as it was read, and what it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployers.kserve.manifests import is_kept, server_of
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.settings import KServeMode


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The objects of one InferenceService. What does not exist in a mode is empty."""

    name: str
    service: Manifest | None = None
    applied: Manifest | None = None
    """The specification that was applied last, according to its record."""
    route: Manifest | None = None
    """The HTTPRoute of its address."""
    deployments: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    services: Sequence[Manifest] = ()
    revisions: Sequence[Manifest] = ()
    probes: Mapping[str, str] | None = None
    """What probes of its pods last failed with, by pod."""

    @property
    def spec(self) -> Manifest:
        """Its specification, as it is."""
        return dict((self.service or {}).get("spec") or {})

    @property
    def status(self) -> Manifest:
        """What KServe says of it."""
        return dict((self.service or {}).get("status") or {})

    @property
    def predictor(self) -> Manifest:
        """The stable predictor in Standard mode, the latest one in Knative mode."""
        return dict(self.spec.get("predictor") or {})

    @property
    def part(self) -> Manifest:
        """What KServe says of the predictor's revisions."""
        return dict((self.status.get("components") or {}).get("predictor") or {})

    @property
    def is_current(self) -> bool:
        """Whether the status is of the specification, as far as KServe says."""
        if self.service is None:
            return False
        generation = self.service["metadata"].get("generation", 0)
        return bool(self.status.get("observedGeneration", generation) >= generation)

    @property
    def is_kept(self) -> bool:
        """Whether nobody has changed what was applied."""
        return self.applied is not None and is_kept(self.applied, self.spec)

    @property
    def address(self) -> str | None:
        """Where callers reach it."""
        return str(self.status["url"]) if self.status.get("url") else None

    @property
    def mode(self) -> KServeMode | None:
        """The mode in which KServe runs it; None while that is not known."""
        said = str(self.status.get("deploymentMode") or "")
        if said in ("Standard", "RawDeployment"):
            return "Standard"
        if said in ("Knative", "Serverless"):
            return "Knative"
        if self.deployments:
            return "Standard"
        return "Knative" if self.part.get("latestCreatedRevision") else None

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition of its status; empty if there is none."""
        found = self.status.get("conditions") or ()
        return next((each for each in found if each["type"] == kind), {})

    def is_true(self, kind: str) -> bool:
        """Whether a condition holds."""
        return bool(self.condition(kind).get("status") == "True")

    def said(self) -> str:
        """Why the model is not loaded, in KServe's words; empty if it says nothing."""
        model = self.status.get("modelStatus") or {}
        info = model.get("lastFailureInfo") or {}
        if not info:
            return ""
        told = ": ".join(filter(None, (info.get("reason"), info.get("message"))))
        state = model.get("transitionStatus", "")
        return f"KServe says {state}: {told}" if state else f"KServe says {told}"


def server_in(made: Manifest) -> str | None:
    """The server of a Deployment or a Revision."""
    template = ((made.get("spec") or {}).get("template") or {}).get("metadata") or {}
    return server_of(template) or server_of(made["metadata"])
