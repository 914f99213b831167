"""What must hold in a simulated world: all the time, and at its end."""

import re
from collections import Counter, defaultdict
from itertools import dropwhile

from controller.git.environment_file import ACTION
from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.run import Run
from specs.digests import short
from tests.simulation.clock import now
from tests.simulation.world import REPOSITORY, World

NOT_FINAL = ("running", "held")
QUARANTINED = 300.0
"""Seconds for which a version may still be served after it was quarantined, at most: a pause or an
outage of that length delays every rollback."""
_SERVER = re.compile(r"mean-(?P<environment>[a-z]+)-v(?P<number>[0-9]+)-(?P<digest>[0-9a-f]+)")


class Judge:
    """Looks for what must not be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pushed: dict[str, float] = {}
        """The commits of the default branch, and when they came."""
        self._served: set[str] = set()
        """Servers whose versions were looked at."""

    # -- all the time ------------------------------------------------------------------------

    def serves(self, place: str, server: str) -> None:
        """Callers are answered by a server."""
        found = _SERVER.fullmatch(server)
        assert found is not None
        if server not in self._served:
            self._served.add(server)
            self._gated(place, server, int(found["number"]), found["digest"])
        self._quarantined(place, server, found["digest"])

    def _gated(self, place: str, server: str, number: int, digest: str) -> None:
        wrong, cluster = self.world.ledger.wrong, self.world.cluster
        record = self.world.memory.records.get(Key("model", f"mean/{number}"))
        if record is None:
            wrong(f"ungated: {server} serves in {place}, and no such version is known")
            return
        version = ModelVersion.model_validate_json(record.text)
        if short(version.digest) != digest:
            wrong(f"ungated: {server} is not v{number}, which is {short(version.digest)}")
        if cluster.is_wrong(version.model):
            wrong(f"ungated: {server} serves in {place}, and its model failed")
        for name, data in version.datasets.items():
            if cluster.is_wrong(data):
                wrong(f"ungated: {server} serves in {place}, and its data {name} failed")

    def _quarantined(self, place: str, server: str, digest: str) -> None:
        for each in self._environment(place.rpartition("/")[2]).quarantine:
            if short(each.digest) == digest and now() - each.since > QUARANTINED:
                self.world.ledger.wrong(f"ungated: {server} serves, and is in quarantine")

    def _environment(self, name: str) -> EnvironmentState:
        record = self.world.memory.records.get(Key("environment", f"mean/{name}"))
        if record is None:
            return EnvironmentState(pipeline="mean", name=name, repository="team")
        return EnvironmentState.model_validate_json(record.text)

    # -- at the end --------------------------------------------------------------------------

    def unsettled(self) -> list[str]:
        """What has not come to its end."""
        memory = self.world.memory
        found = [f"{one.action['type']} of {one.owner} is owed" for one in memory.entries.values()]
        found += [
            f"{message.type} to {key} waits"
            for key, box in memory.messages.items()
            for message in box.values()
        ]
        found += [f"{run.id} runs" for run in self._runs() if run.live]
        for name in ("staging", "production"):
            env = self._environment(name)
            if env.rollout is not None and not self._told(f"mean/{name}/stuck/{env.rollout.id}"):
                found.append(f"rollout {env.rollout.id} goes on")
            if env.write is not None:
                found.append(f"the file of {name} is to be written")
            record = memory.records.get(Key("environment", f"mean/{name}"))
            if env.has_server and record is not None and not record.live:
                found.append(f"nobody looks at what serves in {name}")
        if not memory.records[REPOSITORY].live:
            found.append("nobody looks at the repository")
        return found + [f"commit {sha[:8]} has no status" for sha in self._without_status()]

    def _told(self, alert: str) -> bool:
        """Whether people were told last that they have to decide."""
        said = [status for name, status, _ in self.world.sent if name == alert]
        return said[-1:] == ["firing"]

    def _without_status(self) -> list[str]:
        """Commits that have no terminal status. Those before the first that was looked at get none:
        they were there when the repository was first seen."""
        reports = self.world.reports
        looked = [*dropwhile(lambda sha: not reports[sha], self.pushed)] or [*self.pushed]
        return [sha for sha in looked if not reports[sha] or reports[sha][-1].state in NOT_FINAL]

    def _runs(self) -> list[Run]:
        records = self.world.memory.records
        return [
            Run.model_validate_json(record.text)
            for key, record in records.items()
            if key.kind == "run"
        ]

    def at_the_end(self) -> None:
        """All that must hold once everything is over."""
        wrong = self.world.ledger.wrong
        for each in self.unsettled():
            wrong(f"unended: {each}")
        for message in self.world.memory.aside:
            wrong(f"lost: {message.type} to {message.to} was set aside: {message.reason}")
        for each in self.world.cluster.doubled:
            wrong(f"doubled: {each}")
        self._environments_branch()
        self._versions()
        self._alerts()
        self._what_serves()

    def _environments_branch(self) -> None:
        trailers = Counter(
            commit.info.trailers.get(ACTION, "") for commit in self.world.remote.environments()
        )
        for trailer, count in trailers.items():
            if count > 1:
                self.world.ledger.wrong(f"doubled: {count} commits are of the write {trailer}")

    def _versions(self) -> None:
        numbers: defaultdict[str, list[str]] = defaultdict(list)
        for key, record in self.world.memory.records.items():
            if key.kind == "model":
                numbers[ModelVersion.model_validate_json(record.text).digest].append(key.name)
        for digest, names in numbers.items():
            if len(names) > 1:
                self.world.ledger.wrong(f"doubled: {short(digest)} is {' and '.join(names)}")

    def _alerts(self) -> None:
        """What was resolved had fired."""
        said: defaultdict[str, list[str]] = defaultdict(list)
        for alert, status, _ in self.world.sent:
            said[alert].append(status)
        for alert, statuses in said.items():
            if "resolved" in statuses and "firing" not in statuses:
                self.world.ledger.wrong(f"lost: {alert} was resolved, and nobody was told of it")

    def _what_serves(self) -> None:
        """What the state says is what serves, and what git says."""
        for name in ("staging", "production"):
            env = self._environment(name)
            place = self.world.servers.place(f"mean/{name}")
            there = place.wanted.stable.name if place.wanted.stable else ""
            said = f"-v{env.stable.version}-" if env.stable else ""
            if said not in there or bool(said) != bool(there):
                self.world.ledger.wrong(f"lost: {name} serves {there!r}, and {said!r} is stable")
            if there and there not in place.started:
                self.world.ledger.wrong(f"lost: {there} is down, and nobody starts it")
            if env.stable is not None and env.quarantined(env.stable.digest):
                self.world.ledger.wrong(f"ungated: {name} has a stable version in quarantine")
