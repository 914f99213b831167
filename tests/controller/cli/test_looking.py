"""Commands that read: each over a state as a controller leaves it."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.cli.terminal.tree import render
from controller.cli.terminal.views import StatusSnapshot
from controller.executors.virtualenvs import LOGS
from controller.machine.core import Key
from controller.machine.environments.environment import server_name
from controller.machine.pipelines.version import Quarantined
from controller.machine.runs.attempt import AttemptState, Building
from controller.machine.runs.run import Progress, Trigger
from controller.machine.stall import Stall
from controller.reconcile.stalls import KIND
from controller.store.protocol import OutboxEntry, Postponed, Put, Record, Store, Transaction
from controller.store.reading import SqliteReader
from deployers import control
from deployers.place_folder import ENDED, Site
from specs.schedule import ScheduleTrigger
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk, silent_router
from validators.report import Check, Report
from validators.verdict import Verdict

REPORT = Report(
    gate="model",
    subject="toy-2",
    checks=(
        Check(name="roc_auc at least 0.6", verdict=Verdict.FAIL, message="roc_auc is 0.51.",
              observed=0.51, limit=">= 0.6", n=1234),
    ),
)  # fmt: skip


@pytest.fixture
def told(desk: Desk) -> Desk:
    """toy-1 passed and serves as v1; v2 is in the canary; toy-3 trains; v3 was rolled back."""
    first = seeds.run(1)
    report = store_report(desk.home, REPORT)
    gate = seeds.passed("toy-2", "gate.model", Verdict.FAIL).model_copy(
        update={"outputs": {"report": report}}
    )
    second = seeds.run(2, nodes={**seeds.run(2).nodes, "gate.model": gate})
    third = seeds.run(
        3,
        trigger=Trigger(kind="manual", why="\x1b[2Jtake over", by="ada"),
        finished=None,
        nodes={
            "gate.data.rows": Progress(
                outputs={"report": "x"}, cached_from="toy-1", verdict=Verdict.PASS
            ),
            "train": Progress(
                key="k",
                attempts=(seeds.tried("toy-3", "train", AttemptState.FAILED, "out of luck"),),
            ),
            "evaluate": Progress(),
            "gate.model": Progress(),
        },
    )
    changed = seeds.graph(seeds.SPEC.replace("depth: 3", "depth: 5"))
    changes = [
        *seeds.run_changes(first),
        *seeds.run_changes(second),
        *seeds.run_changes(third, changed),
        seeds.put("pipeline", "toy", seeds.pipeline(third)),
        seeds.put("environment", "toy/production", production()),
        Transaction(
            facts=(
                *(seeds.fact("model", f"toy/{n}", seeds.version(n)) for n in (1, 2, 3)),
                seeds.ended(seeds.canary(1), "promoted", "toy-1 passed its gates", at=1005.0),
                seeds.ended(seeds.canary(3), "rolled_back", "errors went up"),
            )
        ),
        Transaction(
            enqueue=(
                OutboxEntry(
                    id="x", owner=Key("run", "toy-3"), lane="notify", action={"type": "notify"}
                ),
            )
        ),
        Transaction(postpone=(Postponed(id="x", not_before=9e9, error="the hook is gone"),)),
    ]
    desk.keep(*changes)
    return desk


def production() -> Any:
    bad = seeds.version(3)
    return seeds.environment(
        stable=seeds.version(1).ref,
        stable_rollout=seeds.canary(1).id,
        rollout=seeds.canary(2),
        paused="ada",
        pinned="a" * 40,
        unknown="v9 runs here. Was state.db lost?",
        lost_history="Somebody force-pushed the environments branch.",
        quarantine=(
            Quarantined(version=3, digest=bad.digest, reason="errors went up", since=1050.0),
        ),
    )


def store_report(home: Path, report: Report) -> str:
    return store_bytes(home, report.model_dump_json().encode())


def store_bytes(home: Path, content: bytes) -> str:
    return asyncio.run(Artifacts(home / "artifacts").put_bytes(content)).digest


def text_of(at: Desk, *arguments: str) -> str:
    result = at.do(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def json_of(at: Desk, *arguments: str) -> Any:
    return json.loads(text_of(at, *arguments, "--json"))


def test_status_shows_environments_rollouts_runs_and_what_fails(told: Desk) -> None:
    shown = text_of(told, "status")
    assert "● production  v1" in shown
    assert "canary  ━────" in shown
    assert "5 %  of 5 % → 50 %" in shown
    assert "errors          canary 0 %" in shown
    assert "refusals        canary 0 %" in shown
    assert "quarantined v3" in shown
    assert "paused by ada" in shown
    assert "pinned by commit aaaaaaaaaa" in shown
    assert "cannot release: v9 runs here." in shown
    assert "Somebody force-pushed the environments branch." in shown
    assert "↺ gate.data.rows  PASS  from toy-1" in shown
    assert "· evaluate        waiting for train" in shown
    assert "retried: out of luck" in shown
    assert "the hook is gone" in shown
    assert "No controller is running here" in shown


def test_no_text_from_outside_drives_the_terminal(told: Desk) -> None:
    for command in (["status"], ["runs"], ["show", "toy-3"], ["explain", "toy-3"]):
        assert "\x1b" not in text_of(told, *command)


def test_status_as_json_is_the_snapshot(told: Desk) -> None:
    view = StatusSnapshot.model_validate_json(text_of(told, "status", "--json"))
    (pipeline,) = view.pipelines
    (live,) = (run for run in pipeline.runs if run.outcome == "running")
    assert live.id == "toy-3"
    rollout = pipeline.environments[0].rollout
    assert rollout is not None
    assert (rollout.phase, rollout.weight, rollout.weights) == ("canary", 0.05, (0.05, 0.5))
    assert {signal.signal: signal.n for signal in rollout.signals} == {
        "errors": 20,
        "latency_p99": 20,
        "refusals": 20,
        "other_statuses": 20,
        "content": 20,
        "size": 20,
    }
    assert pipeline.environments[0].since == 1005.0
    assert view.failing[0].error == "the hook is gone"


def test_status_shows_stalls_since_when_and_how_to_fix_them(told: Desk) -> None:
    stall = Stall(
        of="run/toy-3",
        reason="s3://lake may not be read (403): allow these credentials to list the bucket",
        since=time.time() - 3600,
        over=False,
    )
    gone = Stall(of="run/toy-2", reason="over and done", since=1.0)
    puts = [
        Put(key=Key(KIND, one.of), revision=0, text=one.model_dump_json(), live=not one.over)
        for one in (stall, gone)
    ]
    told.keep(*(Transaction(put=put) for put in puts))
    text = " ".join(text_of(told, "status").split())
    assert "! run/toy-3 stuck for " in text
    assert "allow these credentials to list the bucket" in text
    assert "over and done" not in text
    [shown] = StatusSnapshot.model_validate_json(text_of(told, "status", "--json")).stalls
    assert (shown.of, shown.reason, shown.since) == (stall.of, stall.reason, stall.since)


def test_status_says_which_newer_data_a_stale_marker_holds_back(desk: Desk) -> None:
    why = "dataset rows has newer data, and its marker _SUCCESS is older than b.csv"
    desk.keep(seeds.put("pipeline", "toy", seeds.pipeline(held_back=why)))
    assert why in " ".join(text_of(desk, "status").split())
    (pipeline,) = StatusSnapshot.model_validate_json(text_of(desk, "status", "--json")).pipelines
    assert pipeline.held_back == why


def test_status_says_what_becomes_of_a_pipeline_whose_spec_was_deleted(told: Desk) -> None:
    left = seeds.pipeline(gone="its spec is not on main any more", heads={}, specs={})
    told.keep(seeds.put("pipeline", "toy", left, revision=1))
    says = "its spec is not on main any more; its environments keep what they run"
    assert says in " ".join(text_of(told, "status").split())
    (pipeline,) = json_of(told, "status")["pipelines"]
    assert pipeline["gone"] == says


def test_status_leaves_out_a_pipeline_that_is_gone_and_runs_nothing_but_not_as_json(
    desk: Desk,
) -> None:
    left = seeds.pipeline(gone="its spec is not on main any more", heads={}, specs={})
    desk.keep(
        seeds.put("pipeline", "toy", left),
        seeds.put("pipeline", "new", seeds.pipeline(name="new")),
        seeds.put("environment", "toy/production", seeds.environment()),
    )
    text = text_of(desk, "status")
    assert "new" in text
    assert "toy" not in text
    assert [one["name"] for one in json_of(desk, "status")["pipelines"]] == ["new", "toy"]


def test_status_says_when_a_schedule_is_due_next_in_its_zone_and_from_now(desk: Desk) -> None:
    schedule = ScheduleTrigger(cron="0 4 * * *", timezone="Europe/Berlin")
    desk.keep(seeds.put("pipeline", "toy", seeds.pipeline(schedule=schedule)))
    (pipeline,) = StatusSnapshot.model_validate_json(text_of(desk, "status", "--json")).pipelines
    assert pipeline.schedule is not None
    assert pipeline.schedule.next is not None
    here = datetime.fromtimestamp(pipeline.schedule.next, ZoneInfo("Europe/Berlin"))
    assert (here.hour, here.minute) == (4, 0)
    text = text_of(desk, "status")
    assert re.search(r"next scheduled run \w+ \d+ \w+ 04:00 Europe/Berlin, in [\d.]+ \w+", text)


def test_status_names_where_an_environment_answers(told: Desk) -> None:
    folder = Site.of(told.home / "serving" / "places", "toy/production").folder
    folder.mkdir(parents=True)
    routing = control.Routing(port=4711)
    (folder / control.STATE).write_text(routing.model_dump_json())
    assert "4711" not in text_of(told, "status")  # a router that was ended, by `headgate down`
    (folder / control.SOCKET).touch()
    assert "http://127.0.0.1:4711" in text_of(told, "status")


def test_status_says_that_a_canary_has_no_traffic_as_nobody_watches_it(told: Desk) -> None:
    with silent_router(told.home, "toy/production"):
        text = " ".join(text_of(told, "status").replace("│", " ").split())
        [pipeline] = StatusSnapshot.model_validate_json(text_of(told, "status", "--json")).pipelines
    assert "the router stopped sending traffic to the canary at " in text
    assert "no word from a controller that can save for 0.1 s; stable serves all" in text
    production = next(one for one in pipeline.environments if one.name == "production")
    assert production.silence is not None
    assert production.rollout is None or production.rollout.weight == 0.0


def test_the_tree_is_a_pure_function_of_its_snapshot(told: Desk) -> None:
    view = StatusSnapshot.model_validate_json(text_of(told, "status", "--json"))

    def drawn() -> str:
        out = StringIO()
        Console(file=out, width=100).print(render(view))
        return out.getvalue()

    assert drawn() == drawn()
    assert "toy-3" in drawn()


def test_status_of_an_empty_state_says_so(desk: Desk) -> None:
    desk.keep(Transaction())
    assert "No pipeline has been seen yet" in text_of(desk, "status")


def test_runs_are_listed_newest_first(told: Desk) -> None:
    assert [run["id"] for run in json_of(told, "runs")] == ["toy-3", "toy-2", "toy-1"]
    assert [run["id"] for run in json_of(told, "runs", "--limit", "1")] == ["toy-3"]
    assert len(json_of(told, "runs", "--pipeline", "toy")) == 3
    assert "stopped" in text_of(told, "runs")


def test_of_many_runs_a_few_are_read_and_a_long_one_has_its_place(
    told: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [(4, 1500.0, 9000.0)]
    ends += [(n, 2000.0 + 10 * n, 2005.0 + 10 * n) for n in range(5, 205)]

    async def keep(store: Store) -> None:
        for number, created, finished in ends:
            run = seeds.run(number, created=created, finished=finished)
            await store.commit(seeds.put("run", run.id, run), finished)

    told.look(keep)
    read: list[int] = []
    real = SqliteReader.list

    async def counted(self: SqliteReader, *arguments: Any, **options: Any) -> Sequence[Record]:
        records = await real(self, *arguments, **options)
        read.append(len(records))
        return records

    monkeypatch.setattr(SqliteReader, "list", counted)
    assert [one["id"] for one in json_of(told, "runs", "--limit", "2")] == ["toy-204", "toy-203"]
    assert read == [12]
    every = [one["id"] for one in json_of(told, "runs", "--limit", "999")]
    assert every == [f"toy-{number}" for number in range(204, 0, -1)]


@pytest.mark.parametrize(
    "arguments", [("show",), ("explain",), ("logs",), ("retry",), ("abort",)], ids=str
)
def test_a_run_that_was_deleted_as_keep_says_is_answered_with_where_its_report_is(
    told: Desk, arguments: tuple[str, ...]
) -> None:
    told.keep(seeds.put("run", "toy-9", seeds.run(9)))
    result = told.do(*arguments, "toy-7")
    assert result.exit_code == 1
    assert "toy-7 ended longer ago than `keep` in the settings" in result.stderr
    assert "git log --notes=headgate" in result.stderr


def test_show_run_has_attempts_and_the_gates_reports(told: Desk) -> None:
    shown = text_of(told, "show", "toy-2")
    assert "roc_auc is 0.51." in shown
    assert ">= 0.6" in shown
    assert "toy-2.train.1" in shown
    assert "the report of gate.data.rows cannot be read" in shown
    (report,) = json_of(told, "show", "toy-2")["reports"]
    assert Report.model_validate(report) == REPORT


def test_show_finds_versions_and_rollouts_over_and_in_progress(told: Desk) -> None:
    assert json_of(told, "show", "toy/2")["version"]["number"] == 2
    assert json_of(told, "show", "toy/v2")["version"]["number"] == 2
    assert seeds.version(2).digest in text_of(told, "show", "toy/2")
    assert "rolled back" in text_of(told, "show", "toy-production-3")
    going = json_of(told, "show", "toy-production-2")
    assert going["ended"] is None
    assert going["reports"][0]["gate"] == "canary"
    assert "in progress" in text_of(told, "show", "toy-production-2")


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "toy-11"),
        ("explain", "tyo-1"),
        ("models", "ty"),
        ("releases", "tox"),
        ("logs", "to-1"),
        ("runs", "--pipeline", "tox"),
    ],
)
def test_what_is_not_there_is_answered_with_the_nearest(
    told: Desk, arguments: tuple[str, ...]
) -> None:
    result = told.do(*arguments)
    assert result.exit_code == 1
    assert "Did you mean toy" in result.stderr


def test_models_say_where_they_serve_and_what_is_quarantined(told: Desk) -> None:
    three, two, one = json_of(told, "models", "toy")
    assert (one["serves"], two["serves"]) == (["production"], [])
    assert three["quarantined"] == "errors went up"
    assert "quarantined: errors went up" in text_of(told, "models", "toy")


def test_releases_have_outcome_reason_and_evidence(told: Desk) -> None:
    newest, oldest = json_of(told, "releases", "toy")
    assert (newest["outcome"], newest["reason"]) == ("rolled_back", "errors went up")
    assert oldest["outcome"] == "promoted"
    assert newest["evidence"].startswith("Waiting: ")
    assert "rolled back" in text_of(told, "releases", "toy/production")


def test_explain_says_why_each_step_ran_and_what_it_waits_for(told: Desk) -> None:
    found = json_of(told, "explain", "toy-3")
    assert (found["trigger"], found["by"], found["before"]) == ("manual", "ada", "toy-1"), (
        "toy-2 was stopped"
    )
    why = {node["name"]: node["why"] for node in found["nodes"]}
    assert why["gate.data.rows"] == ["everything it depends on is the same as in toy-1"]
    assert why["train"] == ["params.depth went from 3 to 5"]
    assert why["evaluate"] == ["it is waiting for train"]
    first = json_of(told, "explain", "toy-1")
    assert first["before"] is None
    assert "no earlier run has passed" in text_of(told, "explain", "toy-1")


def test_explain_says_which_objects_came_since_the_last_run_that_passed(
    told: Desk, tmp_path: Path
) -> None:
    lake = tmp_path / "lake"
    lake.mkdir()
    catalog = Catalog(told.home / "datasets", wall=lambda: 0.0)
    uri = f"file://{lake}/*.parquet"
    graph = seeds.graph(seeds.SPEC.replace('"data/*.csv"', f'"{uri}"'))
    versions = []
    for month, count in ((4, 3), (5, 27_128)):
        pq.write_table(pa.table({"a": range(count)}), lake / f"2013-{month:02}.parquet")
        versions.append(asyncio.run(catalog.list(uri)).manifest.digest)
    runs = [seeds.run(4 + n, datasets={"rows": each}) for n, each in enumerate(versions)]
    topic = seeds.run(6, branch="topic", releases=False, datasets={"rows": versions[1]})
    told.keep(*(change for run in (*runs, topic) for change in seeds.run_changes(run, graph)))
    (said,) = json_of(told, "explain", "toy-5")["datasets"]
    assert said.endswith("; 2013-05.parquet added, 27,128 rows")
    assert "2013-05.parquet added, 27,128 rows" in text_of(told, "explain", "toy-5")
    found = json_of(told, "explain", "toy-6")
    assert found["before"] == "toy-5", "the first of its branch is held against the default one"


def test_explain_calls_a_gate_that_failed_by_its_verdict_and_no_success(told: Desk) -> None:
    found = {node["name"]: node for node in json_of(told, "explain", "toy-2")["nodes"]}
    assert found["gate.model"]["verdict"] == "FAIL"
    assert found["train"]["verdict"] is None
    lines = text_of(told, "explain", "toy-2").splitlines()
    (gate,) = (line for line in lines if line.startswith("gate.model"))
    assert "FAIL" in gate
    assert "succeeded" not in gate


def test_what_gates_said_is_printed_as_a_page_for_a_ci_system_and_as_markdown(told: Desk) -> None:
    page = text_of(told, "show", "toy-2", "--format", "html")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "roc_auc is 0.51." in page
    suites = ElementTree.fromstring(text_of(told, "show", "toy-2", "--format", "junit"))
    assert suites.tag == "testsuites"
    assert int(suites.get("failures", "0")) == 1
    assert "stopped: gate.model (FAIL)" in suites.get("name", "")
    assert "roc_auc is 0.51." in text_of(told, "show", "toy-2", "--format", "markdown")
    assert json_of(told, "show", "toy-2") == json.loads(
        text_of(told, "show", "toy-2", "--format", "json")
    )


def test_what_data_gates_found_is_printed_for_data_docs_a_line_for_each(told: Desk) -> None:
    found = {"success": False, "suite_name": "flights"}
    digest = store_bytes(told.home, json.dumps(found, indent=2).encode())
    gates = {
        f"gate.data.{name}": Progress(
            outputs={"report": "lost", "validation": digest}, verdict=Verdict.FAIL
        )
        for name in ("rows", "more")
    }
    told.keep(*seeds.run_changes(seeds.run(9, nodes=gates)))
    text = text_of(told, "show", "toy-9", "--format", "great-expectations")
    assert [json.loads(line) for line in text.splitlines()] == [found, found]


def test_of_what_an_older_headgate_judged_there_is_nothing_for_data_docs(told: Desk) -> None:
    refused = told.do("show", "toy-2", "--format", "great-expectations")
    assert refused.exit_code == 1
    assert "an older Headgate judged" in refused.output


def test_a_gate_whose_report_is_lost_is_in_the_page_and_does_not_pass_unseen(told: Desk) -> None:
    suites = ElementTree.fromstring(text_of(told, "show", "toy-1", "--format", "junit"))
    said = [case.get("name") for case in suites.iter("testcase")]
    assert sorted(map(str, said)) == ["gate.data.rows", "gate.model"]
    assert "its report is lost" in text_of(told, "show", "toy-1", "--format", "markdown")


def test_of_a_run_that_goes_on_there_is_no_page_yet(told: Desk) -> None:
    result = told.do("show", "toy-3", "--format", "junit")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "toy-3 has not ended" in result.stderr


def test_no_form_of_a_report_tells_a_secret(told: Desk) -> None:
    told.settings.write_text(told.settings.read_text() + "secrets: s.env\n")
    (told.settings.parent / "s.env").write_text("TOKEN=is 0.51.\n")
    for form in ("text", "json", "html", "junit", "markdown"):
        shown = text_of(told, "show", "toy-2", "--format", form)
        assert "is 0.51." not in shown
        assert "roc_auc ***" in shown.replace("&#42;", "*")


def test_explain_says_that_another_result_upstream_made_a_step_run(told: Desk) -> None:
    why = {node["name"]: node["why"] for node in json_of(told, "explain", "toy-2")["nodes"]}
    assert why["evaluate"] == ["train made another result"]
    assert why["train"] == ["toy-1 left no result of it"]


@pytest.fixture
def logged(told: Desk) -> Desk:
    """Two steps and a server have written logs; one of them tells a secret."""
    told.settings.write_text(told.settings.read_text() + "secrets: s.env\n")
    (told.settings.parent / "s.env").write_text("TOKEN=hunter2000\n")
    for name, text in {
        "attempts/toy-1.train.1": "epoch 1\x1b[31m\ntoken hunter2000\n",
        "attempts/toy-1.evaluate.1": "scored\n",
        "serving/processes/"
        + Site.of(told.home / "serving" / "places", "toy/production").server(
            server_name("toy/production", seeds.version(1).ref)
        ): "GET\n",
    }.items():
        folder = told.home / name
        folder.mkdir(parents=True)
        (folder / "log").write_text(text)
    return told


def test_logs_of_a_run_are_its_steps_in_order_without_secrets(logged: Desk) -> None:
    result = logged.do("logs", "toy-1")
    assert result.stdout.index("epoch 1") < result.stdout.index("scored")
    assert "hunter2000" not in result.stdout
    assert "\x1b" not in result.stdout
    assert "== toy-1.train.1" in result.stderr
    assert logged.do("logs", "toy-1", "evaluate").stdout == "scored\n"


def test_logs_of_a_run_have_what_was_said_while_its_environment_was_built(logged: Desk) -> None:
    built = Building(name="e1-python3", since=1.0, seconds=12.0)
    run = seeds.run(1).model_copy(update={"environments": {built.name: built}})
    logged.keep(seeds.put("run", run.id, run, revision=1))
    folder = logged.home / "environments" / LOGS / built.name
    folder.mkdir(parents=True)
    (folder / "log").write_text("Downloading torch, with hunter2000\n")
    assert logged.do("logs", "toy-1", "environment").stdout == "Downloading torch, with ***\n"
    assert logged.do("logs", "toy-1").stdout.startswith("Downloading torch")
    (shown,) = json_of(logged, "show", "toy-1")["run"]["environments"]
    assert (shown["name"], shown["phase"], shown["seconds"]) == ("environment", "succeeded", 12.0)


def test_of_a_run_that_built_nothing_that_is_said(logged: Desk) -> None:
    result = logged.do("logs", "toy-1", "environment")
    assert result.exit_code == 1
    assert "built no environment: those it needs existed already" in result.stderr


def test_logs_of_an_environment_are_its_servers(logged: Desk) -> None:
    assert "GET\n" in logged.do("logs", "toy/production").stdout


def server(number: int) -> str:
    return server_name("toy/production", seeds.version(number).ref)


def ended_server(at: Desk, number: int, text: str) -> None:
    site = Site.of(at.home / "serving" / "places", "toy/production")
    folder = at.home / "serving" / ENDED / site.server(server(number))
    folder.mkdir(parents=True)
    (folder / "log").write_text(text)


def test_logs_of_an_environment_have_the_server_that_was_taken_out_before_the_one_that_runs(
    logged: Desk,
) -> None:
    ended_server(logged, 3, "out of luck, token hunter2000\n")
    result = logged.do("logs", "toy/production")
    assert result.stdout == "out of luck, token ***\nGET\n"
    assert f"== {server(3)} (ended)" in result.stderr
    views = json_of(logged, "logs", "toy/production")
    assert [(one["name"], one["ended"]) for one in views] == [
        (server(3), True),
        (server(1), False),
    ]


def test_logs_of_one_version_are_its_servers_whether_they_run_or_ended(logged: Desk) -> None:
    ended_server(logged, 1, "the run before\n")
    ended_server(logged, 3, "of another story\n")
    assert logged.do("logs", "toy/production", "--version", "3").stdout == "of another story\n"
    assert logged.do("logs", "toy/production", "--version", "1").stdout == "the run before\nGET\n"
    result = logged.do("logs", "toy/production", "--version", "9")
    assert result.exit_code == 1
    assert "no server of v9 has run in toy/production, or its log was deleted" in result.stderr
    assert logged.do("logs", "toy-1", "--version", "1").exit_code == 2


def test_a_paused_canary_is_not_said_to_be_promoted(told: Desk) -> None:
    shown = " ".join(text_of(told, "status").split())
    assert "Paused by ada; continue with `headgate resume`." in shown
    assert "Promoted" not in shown
    (production, *_) = json_of(told, "status")["pipelines"][0]["environments"]
    assert production["rollout"]["paused"] == "ada"


def test_show_rollout_says_what_differs_from_what_served_beside_it(told: Desk) -> None:
    shown = text_of(told, "show", "toy-production-2")
    assert "differs from v1" in shown
    assert "nothing: it was made from the same files, parameters and data" in shown
    assert seeds.version(2).source.commit in shown


def test_logs_for_programs_are_named_and_without_secrets(logged: Desk) -> None:
    texts = {log["name"]: log["text"] for log in json_of(logged, "logs", "toy-1")}
    assert "epoch 1" in texts["toy-1.train.1"]
    assert "hunter2000" not in texts["toy-1.train.1"]
    assert texts["toy-1.evaluate.1"] == "scored\n"
    assert texts["toy-1.gate.data.rows.1"] is None, "its log was deleted"
    assert logged.do("logs", "toy-1", "--json", "--follow").exit_code == 2


def test_logs_of_a_cached_step_name_the_run_that_has_them(logged: Desk) -> None:
    result = logged.do("logs", "toy-3", "gate.data.rows")
    assert result.exit_code == 1
    assert "see `headgate logs toy-1 gate.data.rows`" in result.stderr
