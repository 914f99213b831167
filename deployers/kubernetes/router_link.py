"""What is saved of a place on a cluster, and how its router is asked there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from deployers.control import RouterRefusedError, RouterStatus
from deployers.remote_control import ORDERS
from deployers.saved_place import SavedPlace
from specs.failures import TryAgain

if TYPE_CHECKING:
    import httpx

KUBERNETES: Final = "kubernetes"
"""The folder of these places in the home of all targets."""
ANSWERS: Final = 5.0
"""Seconds that a router may take to answer."""


class ClusterPlace(SavedPlace):
    """A place, as it was last deployed. The token is a secret: the file is its owner's alone."""

    folder: ClassVar[str] = KUBERNETES
    place: str
    orders: str
    """`http://host:port` where its router takes orders."""
    token: str
    address: str | None = None
    """`http://host:port` for callers; None while nothing answers there."""

    @classmethod
    def all(cls, home: Path) -> list[Self]:
        """All that are saved."""
        files = sorted((home / KUBERNETES).glob("*.json"))
        return [cls.model_validate_json(file.read_bytes()) for file in files]


class RouterLink:
    """Asks routers over HTTP, by the addresses of their Services."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self, saved: ClusterPlace, what: str, *, seconds: float = ANSWERS, **details: object
    ) -> Any:
        """Send an order, and return its answer. Raises OSError if no router answers, and
        RouterRefusedError if it refuses the order."""
        import httpx

        if self._client is None:
            # No connection is kept: a Service may lead to another pod by then.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._client = httpx.AsyncClient(trust_env=False, limits=limits)
        try:
            answer = await self._client.post(
                f"{saved.orders}{ORDERS}",
                json={"do": what, **details},
                headers={"Authorization": f"Bearer {saved.token}"},
                timeout=seconds,
            )
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            why = f"{error}" or type(error).__name__
            raise ConnectionError(f"the router at {saved.orders} does not answer: {why}") from None
        if "refused" in found:
            raise RouterRefusedError(found["refused"])
        return found["done"]

    async def status(self, saved: ClusterPlace, *, seconds: float = ANSWERS) -> RouterStatus | None:
        """The router's status; None if it does not answer. Raises TryAgain if it refuses to."""
        try:
            return RouterStatus.model_validate(await self.ask(saved, "status", seconds=seconds))
        except OSError:
            return None
        except RouterRefusedError as error:
            raise TryAgain(f"{saved.place}: its router refuses: {error}") from None

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()
