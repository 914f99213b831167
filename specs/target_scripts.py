"""Scripts of the team that deploy where no deployer of Headgate's does: `deployer: command`."""

from datetime import timedelta
from typing import Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from specs.base import MOST_GLOBS, Many, RepositoryPath, Spec, Text, Variable
from specs.counters import BackendCounters
from specs.traffic import Split
from specs.values import Duration

TargetName = Literal["local", "command", "kubernetes", "gateway", "kserve"]
"""Who deploys: Headgate on its own machine, scripts of the team, or Headgate on a cluster, with its
own router, with a gateway of the cluster, or by KServe."""
ON_CLUSTER: Final[frozenset[TargetName]] = frozenset({"kubernetes", "gateway", "kserve"})
"""The deployers that run pods."""


UNWATCHING: Final[frozenset[TargetName]] = frozenset({"command", "gateway", "kserve"})
"""The deployers whose traffic is not split by Headgate's own router."""
UNWATCHED: Final = (
    "where scripts or a gateway split the traffic, a canary keeps its traffic while no controller "
    "runs: only the target, or whoever runs it, can take it away then"
)
"""Who answers for a canary that nobody watches, in a clause."""


class TargetScripts(Spec):
    """Scripts that run the servers and split their traffic. Each reads JSON from its standard
    input and is safe to run twice; `docs/deployers.md` describes what they read and print."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["traffic"]}, {"required": ["prometheus"]}]}
    )

    apply: Text = Field(
        description="Makes the target run what its input says: stable, canary and its weight. "
        "`{root}` is the repository's root."
    )
    observe: Text = Field(description="Prints what really runs, and at which weights.")
    traffic: Text | None = Field(
        default=None,
        description="Prints what the servers answered since the last time: records, or counts; "
        "alternatively `prometheus`.",
    )
    prometheus: BackendCounters | None = Field(
        default=None,
        description="Instead of `traffic`: the gateway's counters, which Prometheus scrapes.",
    )
    remove: Text = Field(description="Removes everything that `apply` made.")
    split: Split = Field(
        default="draw",
        description="How the target assigns requests. `draw`: each by a random draw. `turns`: in "
        "turn, as a weighted round-robin does. `units`: users or sessions stay with an arm. Only "
        "after draws can the arms be compared by their counts.",
    )
    reads: Many[RepositoryPath] | None = Field(
        default=None,
        max_length=MOST_GLOBS,
        description="Globs of the files they read; `//src/**` starts at the repository's root. The "
        "default is every file that `triggers.commits` admits.",
    )
    secrets: Many[Variable] = Field(
        default=(), description="Secrets handed to the scripts as environment variables."
    )
    timeout: Duration = Field(
        default=timedelta(minutes=2),
        gt=timedelta(0),
        le=timedelta(hours=1),
        description="How long one of them may take.",
    )

    @model_validator(mode="after")
    def _tells_of_traffic_one_way(self) -> Self:
        if (self.traffic is None) == (self.prometheus is None):
            raise ValueError("expected one of traffic and prometheus")
        if self.prometheus is not None and self.split == "units":
            raise ValueError(
                "expected `traffic` with `split: units`: counters do not tell one user from another"
            )
        return self

    @property
    def commands(self) -> dict[str, str]:
        """The commands by name, in the order of their first use."""
        traffic = {} if self.traffic is None else {"traffic": self.traffic}
        return {"apply": self.apply, "observe": self.observe, **traffic, "remove": self.remove}
