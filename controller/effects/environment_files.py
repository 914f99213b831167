"""Writes what an environment runs to the environments branch."""

from collections.abc import Mapping, Sequence

from controller.git.environment_file import Invalid
from controller.git.environments import Environments
from controller.git.repositories import Repositories
from controller.machine.actions import WriteEnvironment
from controller.machine.core import Envelope, Key
from controller.machine.environments.file import EnvironmentFile
from controller.machine.messages import EnvironmentMoved, EnvironmentWritten
from controller.reconcile.tenure import Alone, Tenure
from controller.store.protocol import LostLease


class EnvironmentFileApplier:
    """Applies `WriteEnvironment`."""

    def __init__(
        self,
        repositories: Repositories,
        branches: Mapping[str, Environments],
        tenure: Tenure = Alone(),  # noqa: B008 - it has no state
    ) -> None:
        self._repositories = repositories
        self._branches = branches
        self._tenure = tenure

    async def apply(self, owner: Key, action: WriteEnvironment) -> Sequence[Envelope]:
        """Commit the file and push it. If somebody else changed it since the decision, it is left
        alone, and `EnvironmentMoved` tells the owner to look again."""
        file = action.file
        self._repositories.mirror(action.repository)  # raises if the repository is unknown
        branch = self._branches[action.repository]
        place = (file.environment, file.pipeline)
        before = await branch.present(*place, at=action.seen) if action.seen else None

        def change(present: EnvironmentFile | Invalid | None) -> EnvironmentFile:
            # Asked for each try: whoever has it by now may have pushed in between.
            if not self._tenure.holds(owner):
                raise LostLease("another controller may have it")
            broken = isinstance(present, Invalid) and isinstance(before, Invalid)
            if str(present) != str(before) if broken else present != before:
                raise _Moved
            return file

        try:
            lease = self._tenure.token(owner)
            commit = await branch.write(change, *place, action.subject, action.write, lease)
        except _Moved:
            head = await branch.head()
            moved = EnvironmentMoved(write=action.write)
            return (Envelope(to=owner, id=f"moved/{head}", message=moved),)
        written = EnvironmentWritten(write=action.write, commit=commit)
        return (Envelope(to=owner, id=f"written/{commit}", message=written),)


class _Moved(Exception):  # noqa: N818 - the name says what happened
    """Somebody else changed the file since the decision."""
