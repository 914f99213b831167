"""Scripts of the team that deploy where no deployer of Headgate's does: `deployer: command`."""

from datetime import timedelta
from typing import Final, Literal

from pydantic import Field

from specs.base import MOST_GLOBS, Many, RepositoryPath, Spec, Text, Variable
from specs.traffic import Split
from specs.values import Duration

TargetName = Literal["local", "command", "kubernetes"]
"""Who deploys: Headgate on its own machine, scripts of the team, or Headgate on a cluster."""
ON_CLUSTER: Final[frozenset[TargetName]] = frozenset({"kubernetes"})
"""The deployers that run pods."""


UNWATCHED: Final = (
    "with `deployer: command`, a canary keeps its traffic while no controller runs: only the "
    "target, or whoever runs it, can take it away then"
)
"""Who answers for a canary that nobody watches, in a clause."""


class TargetScripts(Spec):
    """Scripts that run the servers and split their traffic. Each reads JSON from its standard
    input and is safe to run twice; `docs/deployers.md` describes what they read and print."""

    apply: Text = Field(
        description="Makes the target run what its input says: stable, canary and its weight. "
        "`{root}` is the repository's root."
    )
    observe: Text = Field(description="Prints what really runs, and at which weights.")
    traffic: Text = Field(
        description="Prints what the servers answered since the last time: records, or counts."
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

    @property
    def commands(self) -> dict[str, str]:
        """The commands by name, in the order of their first use."""
        return {
            "apply": self.apply,
            "observe": self.observe,
            "traffic": self.traffic,
            "remove": self.remove,
        }
