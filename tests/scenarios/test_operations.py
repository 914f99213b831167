"""What operators see of a controller at work: probes, metrics, the board, and traces."""

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.config.secrets import Secrets
from controller.telemetry import stored, traces
from controller.telemetry.catalogue import BY_NAME, CATALOGUE
from tests.doubles.github import Repository
from tests.ports import reserved_port
from tests.scenarios.test_faults import Disk, disk  # noqa: F401 - a fixture
from tests.scenarios.world import World
from tests.servers.collector import receiver
from tests.servers.prometheus import Prometheus

DEPLOY = Path(__file__).parents[2] / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "headgate.json").read_text())
RULES = DEPLOY / "prometheus" / "headgate.rules.yaml"
QUIET = {
    "Forge requests left",
    "Leases",
    "Waiting for a person",
}
"""Panels without data with no forge, nobody who is waited for, and one controller."""


@pytest.fixture
def port(world: World) -> Iterator[int]:
    """The port that the controller serves probes and metrics at."""
    with reserved_port() as found:
        world.configure(http={"port": found})
        yield found


class Scraped:
    """One scrape: the value of each series."""

    def __init__(self, text: str) -> None:
        from prometheus_client.parser import text_string_to_metric_families

        self.families = [*text_string_to_metric_families(text)]
        self._values = {
            (one.name, frozenset(one.labels.items())): one.value
            for family in self.families
            for one in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._values.get((name, frozenset(labels.items())))


async def scrape(port: int) -> Scraped:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return Scraped(answer.text)


LONG = ("minimum_bake: 1s", "minimum_bake: 30s")
"""So that no scrape misses a canary."""

FAULTY = ("FAULTY = 0", "FAULTY = 3")
LATER = (
    "FAULTY and Handler.served > 5 and Handler.served % FAULTY",
    "Handler.served > 60 and Handler.served % 2",
)
"""So that a canary serves for some seconds before it fails."""


@asynccontextmanager
async def rolled_back(world: World, bad: tuple[str, str] = FAULTY) -> AsyncIterator[None]:
    """A second version that fails under load has been rolled back; the controller still runs."""
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push("Be faster", serve__py=bad)

            async def is_over() -> bool:
                env = await world.environment("production")
                return bool(env and env.quarantine and env.rollout is None)

            await world.until(is_over, "the rollback")
            yield


async def test_a_promotion_and_a_rollback_are_counted(world: World, port: int) -> None:
    async with rolled_back(world):
        found = await scrape(port)
    for environment, outcome in (
        ("staging", "promoted"),
        ("production", "promoted"),
        ("production", "rolled_back"),
    ):
        labels = {"environment": environment, "outcome": outcome}
        count = found("headgate_rollouts_total", pipeline="mean", **labels)
        expected = 2 if environment == "staging" else 1
        assert count == expected, labels
        assert found("headgate_rollout_duration_seconds_count", **labels) == expected
    assert found("headgate_gate_verdicts_total", pipeline="mean", gate="smoke", verdict="PASS") == 2
    assert found("headgate_runs_total", pipeline="mean", outcome="passed") == 2
    assert found("headgate_run_duration_seconds_count", outcome="passed") == 2
    assert found("headgate_steps_total", pipeline="mean", result="succeeded")
    assert found("headgate_step_duration_seconds_count", kind="step", result="succeeded") == 1
    assert found("headgate_can_save") == 1
    assert found("headgate_repository_reachable", repository="team") == 1
    assert found("headgate_internal_errors_total") == 0
    saves = found("headgate_saves_total")
    assert saves is not None
    assert saves > 10
    unknown = {one.name for one in found.families if one.name.startswith("headgate_")}
    unknown -= {name.removesuffix("_total") for name in BY_NAME}
    assert not unknown


async def test_a_repository_that_goes_away_shows_and_so_does_its_return(
    world: World, port: int
) -> None:
    world.push("Add the pipeline")
    away = world.root / "elsewhere.git"
    async with world.controller():
        await world.ended(1)
        before = (await scrape(port))("headgate_git_errors_total", kind="unreachable")
        assert before is not None  # counted since the process began, other stories included
        world.remote.rename(away)

        async def reachable() -> float | None:
            return (await scrape(port))("headgate_repository_reachable", repository="team")

        async def gone() -> bool:
            return await reachable() == 0

        async def back() -> bool:
            return await reachable() == 1

        await world.until(gone, "the repository to be missed")
        found = (await scrape(port))("headgate_git_errors_total", kind="unreachable")
        assert found is not None
        assert found > before
        away.rename(world.remote)
        await world.until(back, "the repository to be found again")


async def test_requests_to_github_are_counted_with_what_is_left_of_its_limit(
    world: World, repository: Repository, port: int
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)

        async def asked() -> bool:
            return bool((await scrape(port))("headgate_api_requests_total", api="github"))

        await world.until(asked, "requests to GitHub")
        found = await scrape(port)
    assert found("headgate_api_errors_total", api="github", kind="server") == 0
    assert found("headgate_api_budget_remaining", api="github")


async def test_a_canary_shows_its_weight_and_its_evidence(world: World, port: int) -> None:
    world.push("Add the pipeline", ml_pipeline__yaml=LONG)
    place = {"pipeline": "mean", "environment": "production"}
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push(
                "Shift",
                ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"),
                train__py=("", ""),
            )

            async def judged() -> Scraped | None:
                found = await scrape(port)
                return found if found("headgate_canary_requests", **place, arm="canary") else None

            found = await world.until(judged, "requests that are judged")
    assert found("headgate_canary_weight_ratio", **place) in (0.2, 0.5)
    evidence = found("headgate_canary_evidence_ratio", **place)
    assert evidence is not None
    assert -1 <= evidence < 1
    assert found("headgate_rollouts_in_progress", **place, phase="canary") == 1
    assert found("headgate_canary_errors", **place, arm="canary") == 0
    assert found("headgate_serving_version", **place) == 1


def targets() -> Iterator[tuple[str, str]]:
    """Every query of the board with the title of its panel."""
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for annotation in BOARD["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


def filled(query: str) -> str:
    """A query as Grafana sends it, with all pipelines and environments chosen."""
    for name, value in (
        ("$__rate_interval", "5s"),
        ("$__range", "1m"),
        ("$pipeline", ".*"),
        ("$environment", ".*"),
    ):
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


@pytest.mark.prometheus
async def test_every_query_of_the_board_is_answered_by_a_real_prometheus(
    world: World, port: int, prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "FRESH", 0.5)  # so that no scrape misses what takes seconds
    began = time.time()
    prometheus.run(port, RULES)
    spec = world.work / "ml-pipeline.yaml"
    spec.write_text(spec.read_text().replace("wait: 0.0", "wait: 3.0").replace(*LONG))
    async with rolled_back(world, LATER):

        async def seen() -> bool:
            counted = 'headgate_rollouts_total{outcome="rolled_back"} > 0'
            found = prometheus.values(f"count_over_time(({counted})[1m:1s])")
            return any(value >= 3 for _, value in found)

        await world.until(seen, "the rollback to be scraped three times")
    empty = []
    for title, query in targets():
        params = {"query": filled(query), "start": str(began), "end": str(time.time()), "step": "1"}
        if not prometheus.ask("query_range", **params)["result"]:
            empty.append((title, query))
    with_data = {title for title, query in targets() if (title, query) not in empty}
    assert {title for title, _ in targets()} - with_data == QUIET
    for variable in BOARD["templating"]["list"][1:]:
        metric, label = re.findall(r"\w+", variable["query"]["query"])[1:]
        assert prometheus.ask(f"label/{label}/values", **{"match[]": metric}), variable["name"]
    firing = {one["labels"]["alertname"] for one in prometheus.ask("alerts")["alerts"]}
    assert "HeadgateRollback" in firing
    for name in re.findall(r"headgate_\w+", RULES.read_text() + json.dumps(BOARD)):
        assert re.sub("_(count|bucket|sum)$", "", name) in BY_NAME, name


def test_the_board_has_a_sound_shape() -> None:
    panels: list[dict[str, Any]] = BOARD["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == ["Delivery", "Canaries in progress", "Runs", "Controller"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"]
        names = [target["refId"] for target in panel["targets"]]
        assert names
        assert len(names) == len(set(names))
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    variables = {one["name"]: one["type"] for one in BOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "pipeline": "query", "environment": "query"}
    shown = {name for _, query in targets() for name in re.findall(r"headgate_\w+", query)}
    shown = {re.sub("_(count|bucket|sum)$", "", name) for name in shown}
    missing = {one.name for one in CATALOGUE} - shown
    assert missing <= {
        "headgate_api_requests_total",
        "headgate_outbox_oldest_seconds",
        "headgate_sources_failing",
        "headgate_stalls_oldest_seconds",
        "headgate_unreadable_objects",
    }


async def test_probes_tell_a_controller_that_cannot_save_from_one_that_is_stuck(
    world: World,
    port: int,
    disk: Disk,  # noqa: F811 - the fixture
) -> None:
    world.push("Add the pipeline")
    async with world.controller(), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        await world.serves(1)
        assert (await http.get("/readyz")).text == "ok\n"
        log = world.root / "home" / "state.db-wal"
        disk.fill(log.stat().st_size // 2)  # below where it writes now, above all other files

        async def unready() -> str:
            answer = await http.get("/readyz")
            return answer.text if answer.status_code == 503 else ""

        said = await world.until(unready, "the controller to be unready")
        assert said.startswith("the controller cannot save: ")
        assert said.count("\n") == 1
        assert (await http.get("/livez")).text == "ok\n"
        assert (await scrape(port))("headgate_can_save") == 0
        disk.free()

        async def ready() -> bool:
            return (await http.get("/readyz")).status_code == 200

        await world.until(ready, "the controller to be ready again")
    with pytest.raises(httpx.ConnectError):
        await scrape(port)


async def test_a_controller_sends_each_run_and_each_rollout_as_a_trace(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "EVERY", 0.1)
    with receiver() as collector:
        world.secrets = Secrets({"KEY": "of a team"})
        world.configure(tracing={"endpoint": collector.url, "headers": {"x-key": "${KEY}"}})
        world.push("Add the pipeline")
        async with world.controller():
            await world.serves(1)

            async def sent() -> bool:
                names = {one.name for one in collector.spans.values()}
                return names >= {"run mean", "train", "rollout staging", "rollout production"}

            await world.until(sent, "a trace")
        before = dict(collector.spans)
        assert len({one.trace for one in before.values()}) == 1
        assert not [one for one in before.values() if one.failed]
        assert {headers["x-key"] for headers in collector.headers} == {"of a team"}
        requests = len(collector.requests)
        async with world.controller():

            async def again() -> bool:
                return len(collector.requests) > requests

            await world.until(again, "what ended just before the restart")
        assert collector.spans == before
