"""Reads the traffic of places from counters, and remembers which weights were in force when."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Final

from deployers.counting.eras import ArmSplit, Era, Eras
from deployers.counting.prometheus import PrometheusClient, PrometheusServer
from deployers.counting.series import Question, UncountableError, windows
from deployers.place_folder import Site
from deployers.protocol import Traffic
from specs.counters import CounterNames, quoted
from specs.failures import NeedsHuman, TryAgain
from specs.traffic import Split

EPOCH: Final = "prometheus"
"""Numbers of windows are times, so there is one series of them only."""
LAG: Final = 5.0
"""Seconds until a scrape can be read: it is stamped with its beginning."""
LOOK_BACK: Final = 300
"""Seconds in which the scrape before is found; after a longer gap, counting begins anew."""
PAGE: Final = 600.0
"""Seconds that are read at a time."""
HISTORY: Final = 3600.0
"""Seconds before a canary that are read."""
OLDEST: Final = 6 * 3600.0
"""Seconds; what is older was missed while no controller read it, and is left out."""
_FOLDER: Final = "counting"


class CounterReader:
    """What deployers that have counters only know of their traffic."""

    def __init__(
        self,
        home: Path,
        servers: Mapping[str, PrometheusServer],
        reveal: Callable[[tuple[str, ...]], dict[str, str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._home = home
        self._servers = servers
        self._reveal = reveal
        self._clock = clock
        self._eras: dict[str, Eras] = {}
        self._confirmed: dict[str, float] = {}

    def changing(self, place: str, wanted: ArmSplit) -> None:
        """Note that `wanted` is about to be applied. To be called before anything is changed."""
        eras = self._of(place)
        self._keep(place, eras.changing(wanted, self._confirmed.get(place, 0.0)))

    def seen(self, place: str, split: ArmSplit) -> None:
        """Note what was observed."""
        now = self._clock()
        eras = self._of(place).seen(split, self._confirmed.get(place, 0.0), now)
        self._keep(place, eras)
        self._confirmed[place] = now

    def forget(self, place: str) -> None:
        """Forget the place."""
        self._eras.pop(place, None)
        self._confirmed.pop(place, None)
        self._file(place).unlink(missing_ok=True)

    async def traffic(
        self,
        place: str,
        epoch: str | None,
        after: int,
        *,
        names: CounterNames,
        errors: Sequence[str],
        split: Split,
    ) -> Traffic:
        """The windows from `after` on, as `Deployer.traffic`. Raises TryAgain that names the
        server and the query."""
        try:
            return await self._read(place, after if epoch == EPOCH else None, names, errors, split)
        except UncountableError as failure:
            raise TryAgain(f"{place}: {failure}", human=True) from None
        except TryAgain as failure:
            raise TryAgain(f"{place}: {failure}", human=failure.human) from None
        except NeedsHuman as failure:  # its token is not there; looking can be repeated
            raise TryAgain(f"{place}: {failure}", human=True) from None

    async def _read(
        self,
        place: str,
        after: int | None,
        names: CounterNames,
        errors: Sequence[str],
        split: Split,
    ) -> Traffic:
        client = self._client(names.server)
        now = await client.now()
        eras = self._by_their_clock(place, now - self._clock())
        if not eras:
            raise TryAgain("it is not known yet which servers have the traffic")
        begin = max(eras[0].start, now - (HISTORY if after is None else OLDEST))
        first = max(round(begin * 1000), after or 0)
        last = round(min(now - LAG, max(era.end or 0.0 for era in eras)) * 1000)
        until = min(last, first + round(PAGE * 1000))
        if until <= first:
            return Traffic(epoch=EPOCH, next=first, now=now, counted=True, split=split)
        seconds = ceil((until - first) / 1000) + LOOK_BACK
        eras = tuple(era for era in eras if (era.end or 0.0) * 1000 >= first)
        selector = _selector(names, eras)
        found = await client.samples(selector, seconds, until / 1000)
        if not found and until == last:
            raise client.empty(selector, seconds)
        asked = Question(names=names, errors=errors, eras=eras, after=first, until=until)
        return Traffic(
            epoch=EPOCH,
            windows=windows(found, asked),
            next=until,
            more=until < last,
            now=now,
            counted=True,
            split=split,
        )

    def _client(self, name: str) -> PrometheusClient:
        server = self._servers.get(name)
        if server is None:
            known = ", ".join(self._servers) or "none"
            raise TryAgain(
                f"its spec names the Prometheus server `{name}`, which is not in the controller's "
                f"settings under `prometheus` (there: {known})",
                human=True,
            )
        return PrometheusClient(name, server, self._reveal)

    def _by_their_clock(self, place: str, ahead: float) -> tuple[Era, ...]:
        """The eras by Prometheus' clock, which is that far ahead; the last ends when it was last
        observed."""
        confirmed = self._confirmed.get(place)
        return tuple(
            era.model_copy(update={"start": era.start + ahead, "end": end + ahead})
            for era in self._of(place).known
            if (end := confirmed if era.end is None else era.end) is not None
        )

    def _of(self, place: str) -> Eras:
        if place not in self._eras:
            try:
                self._eras[place] = Eras.model_validate_json(self._file(place).read_bytes())
            except FileNotFoundError:
                self._eras[place] = Eras()
        return self._eras[place]

    def _keep(self, place: str, eras: Eras) -> None:
        if eras == self._of(place):
            return
        file = self._file(place)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(eras.model_dump_json())
        new.replace(file)
        self._eras[place] = eras

    def _file(self, place: str) -> Path:
        return self._home / _FOLDER / f"{Site.of(self._home, place).key}.json"


def _selector(names: CounterNames, eras: Sequence[Era]) -> str:
    """What selects the counters of all servers that had traffic, in PromQL."""
    counters = [names.requests, *([f"{names.latency}_bucket"] if names.latency else [])]
    arms = {
        names.arm_pattern(pattern, server)
        for era in eras
        for pattern, server in ((names.stable, era.stable), (names.canary, era.canary))
        if server is not None
    }
    return names.selector(
        f"__name__=~{quoted('|'.join(counters))}",
        f"{names.backend}=~{quoted('|'.join(sorted(arms)))}",
    )
