"""A confinement whose processes also reach a folder in which they tell the tests something."""

from dataclasses import dataclass
from pathlib import Path

from deployers.confinement import Confinement, User, View


@dataclass(frozen=True)
class ToldConfinement(Confinement):
    """See above; `told` is the folder."""

    told: Path = Path("/nowhere")

    def within(self, view: View, user: User | None = None) -> tuple[str, ...]:
        return super().within(view._replace(writes=(*view.writes, self.told)), user)
