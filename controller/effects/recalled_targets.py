"""Says whom a place was deployed by, as the state has it, where the home folder cannot say."""

from collections.abc import Awaitable, Callable
from typing import Final

from controller.machine.actions import Deploy
from controller.machine.core import Key
from controller.reconcile.tenure import Tenure
from controller.store.model_versions import Versions
from controller.store.protocol import LostLease
from controller.store.shards import LeaseToken
from deployers.protocol import Desired
from specs.failures import Failure, TryAgain

_NEVER: Final = "never"


class RecalledTargets:
    """What deployers ask about a place before they look at it.

    The home folder knows best what this controller did there last, but it may be lost; and, with
    several controllers, what it says of a place may be older than what another has done since. The
    state has the last deployment that was asked for, and its version's spec names the scripts.
    """

    def __init__(
        self,
        versions: Versions,
        tenure: Tenure,
        deployed_by: Callable[[Deploy], Awaitable[Desired]],
    ) -> None:
        """`deployed_by` says whom a deployment was made by, with the scripts if there are any."""
        self._versions = versions
        self._tenure = tenure
        self._deployed_by = deployed_by
        self._recalled: dict[str, LeaseToken | str | None] = {}

    async def recall(self, place: str, known: bool) -> Desired | None:
        """What says whom the place is deployed by, without servers; None if that is as the home
        folder says. `known` is whether that says anything.

        It is not None once for each lease, or once in a life without leases. Raises `TryAgain`.
        """
        try:
            token = self._tenure.token(Key("environment", place))
        except LostLease:  # whoever has it now looks at it
            return None
        if self._recalled.get(place, _NEVER) == token or (token is None and known):
            return None
        asked = await self._versions.last_deploy(place)
        found = None
        if asked is not None:
            try:
                found = await self._deployed_by(asked)
            except Failure as failure:
                human = not isinstance(failure, TryAgain) or failure.human
                why = f"{place}: what deployed it is not known here yet: {failure}"
                raise TryAgain(why, human=human) from failure
        self._recalled[place] = token
        return found
