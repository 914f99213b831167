"""Gates on this machine: each judgement is forked from a warm process, or runs without one."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.executors.warm_gates import peak_memory
from controller.machine.runs.attempt import Attempt, AttemptState
from deployers.memory import children
from deployers.warm_client import USAGE
from tests.contracts.executor import becomes, ends, run
from tests.controller.executors.site import LocalSite
from tests.rights import with_rights
from validators.data.portrait import Portrait
from validators.report import Report

NUMBERS = {"a.csv": "x\n1\n2\n", "b.csv": "x\n11\n"}
AMPLE = 8 * 2**30
"""A limit of memory that no gate here reaches; attempts with one do without the warm process."""


@pytest.fixture(params=["none", pytest.param("namespace", marks=pytest.mark.bwrap)])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, team: tuple[Path, str]
) -> Iterator[LocalSite]:
    """A place, confined or not."""
    if request.param != "none":
        request.getfixturevalue("namespaces")
    made = LocalSite(tmp_path, *team, kind=request.param)
    yield made
    made.tear_down()


def warm_processes() -> list[int]:
    """The warm processes that were started by this one."""
    return [each for each in children(os.getpid()) if "warm_server" in command_line(each)]


def command_line(process: int) -> str:
    """Its words; empty if it has ended."""
    return Path(f"/proc/{process}/cmdline").read_bytes().decode()


async def verdicts(site: LocalSite, digest: str) -> list[str]:
    """The verdicts in a report of the store."""
    return [each["verdict"] for each in json.loads(await site.stored(digest))["checks"]]


async def test_a_gate_says_the_same_from_a_warm_process_and_without(site: LocalSite) -> None:
    numbers = await site.dataset(NUMBERS)
    async with site.open() as executor:
        reports, peaks = {}, {}
        for name, memory in {"first": None, "second": None, "alone": AMPLE}.items():
            attempt = site.data_gate(numbers, name, memory=memory)
            status = await run(executor, attempt)
            assert status.state is AttemptState.SUCCEEDED, status
            peaks[name] = status.peak_memory or 0
            reports[name] = (await executor.collect(attempt))["report"]
        assert len(warm_processes()) == 1, "for all of them"
    assert await verdicts(site, reports["first"]) == ["PASS", "FAIL"]
    assert len(set(reports.values())) == 1, "the same, byte by byte"
    assert min(peaks.values()) > 60 * 2**20


async def test_a_gate_of_a_new_controller_writes_what_data_docs_and_later_pages_show_as_well(
    site: LocalSite,
) -> None:
    every = {name: f"{name}.json" for name in ("report", "validation", "portrait")}
    attempt = site.data_gate(await site.dataset(NUMBERS), outputs=every)
    async with site.open() as executor:
        status = await run(executor, attempt)
        assert status.state is AttemptState.SUCCEEDED, status
        stored = await executor.collect(attempt)
    found = json.loads(await site.stored(stored["validation"]))
    assert await verdicts(site, stored["report"]) == ["PASS", "FAIL"]
    assert [one["success"] for one in found["results"]] == [True, False]
    portrait = Portrait.model_validate_json(await site.stored(stored["portrait"]))
    report = Report.model_validate_json(await site.stored(stored["report"]))
    assert portrait.sketches.keys() <= {check.name for check in report.checks}
    assert portrait.sketches


async def test_a_gate_judges_by_the_object_of_a_contract_that_it_is_told(site: LocalSite) -> None:
    numbers = await site.dataset(NUMBERS)
    found = {}
    async with site.open() as executor:
        for name, part, like in (
            ("own", None, "numbers"),
            ("renamed", None, "others"),
            ("named", "others", "numbers"),
        ):
            request = {"dataset": "numbers", "suite": "all.odcs.yaml"}
            meant = {"object": part, "like": like}
            attempt = site.data_gate(numbers, name, request={**request, **meant})
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            found[name] = set(await verdicts(site, (await executor.collect(attempt))["report"]))
    assert found == {"own": {"PASS"}, "renamed": {"FAIL"}, "named": {"FAIL"}}


async def test_code_of_the_repository_is_never_forked_from_a_warm_process_and_is_kept_in(
    site: LocalSite,
) -> None:
    request = {"dataset": "numbers", "suite": "custom.json", "custom": "custom.py"}
    attempt = site.data_gate(await site.dataset(NUMBERS), request=request)
    async with site.open() as executor:
        status = await run(executor, attempt)
        assert status.state is AttemptState.SUCCEEDED, status
        assert not warm_processes()
        report = json.loads(await site.stored((await executor.collect(attempt))["report"]))
    assert [each["verdict"] for each in report["checks"]] == ["PASS"], report


async def test_a_limit_of_memory_holds_for_a_gate(site: LocalSite) -> None:
    numbers = await site.dataset(NUMBERS)
    async with site.open() as executor:
        status = await run(executor, site.data_gate(numbers, memory=20 * 2**20))
    assert status.state is AttemptState.OUT_OF_MEMORY, status


async def test_a_gate_outlives_the_controller_and_its_warm_process(site: LocalSite) -> None:
    attempt = site.data_gate(await site.dataset(NUMBERS))
    await site.start_and_die(attempt)
    async with site.open() as executor:
        status = await ends(executor, attempt)
        assert status.state is AttemptState.SUCCEEDED, status
        assert await verdicts(site, (await executor.collect(attempt))["report"])


async def test_a_gate_that_waits_for_a_warm_process_can_be_cancelled(site: LocalSite) -> None:
    attempt = site.data_gate(await site.dataset(NUMBERS))
    async with site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        (warm,) = warm_processes()
        os.kill(warm, signal.SIGSTOP)
        await executor.cancel(attempt.id)
        assert (await ends(executor, attempt)).state is AttemptState.CANCELLED
        os.kill(warm, signal.SIGKILL)
        assert (await run(executor, site.data_gate(attempt.inputs["dataset"], "again"))).state == (
            AttemptState.SUCCEEDED
        ), "by another one"
    assert not warm_processes()


@pytest.mark.bwrap
async def test_gates_of_pipelines_with_users_are_warm_too(
    tmp_path: Path, team: tuple[Path, str], namespaces: None
) -> None:
    site = LocalSite(tmp_path, *team, kind="namespace")
    numbers = await site.dataset(NUMBERS)
    attempts: list[Attempt] = [site.data_gate(numbers, name) for name in ("one", "two")]
    given = {
        "root": str(tmp_path),
        "team": str(team[0]),
        "commit": team[1],
        "attempts": [each.model_dump(mode="json") for each in attempts],
    }
    done = with_rights("tests.controller.executors.users_story", given)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    if not found:
        pytest.skip("no users of their own: root lacks a right here")
    for each in found:
        assert each["state"] == AttemptState.SUCCEEDED, each
        assert each["warm"], "it was forked from the warm process"
        assert each["owners"] == [0], "its report was given back to the controller"
        report = json.loads(each["stored"]["report"])
        assert [one["verdict"] for one in report["checks"]] == ["PASS", "FAIL"]


@pytest.mark.bwrap
async def test_code_of_the_repository_is_kept_in_as_the_user_of_its_pipeline(
    tmp_path: Path, team: tuple[Path, str], namespaces: None
) -> None:
    site = LocalSite(tmp_path, *team, kind="namespace")
    request = {"dataset": "numbers", "suite": "custom.json", "custom": "custom.py"}
    attempt = site.data_gate(await site.dataset(NUMBERS), request=request)
    given = {
        "root": str(tmp_path),
        "team": str(team[0]),
        "commit": team[1],
        "attempts": [attempt.model_dump(mode="json")],
    }
    done = with_rights("tests.controller.executors.users_story", given)
    assert done.code == 0, done.err
    for each in json.loads(done.out):  # none if root lacks a right here
        assert not each["warm"]
        report = json.loads(each["stored"]["report"])
        assert [one["verdict"] for one in report["checks"]] == ["PASS"], report


@pytest.mark.parametrize(
    ("said", "peak"),
    [
        ('{"peak_bytes": 12345678}', 12345678),
        ('{"peak_bytes": 1e400}', 0),
        ('{"peak_bytes": -1}', 0),
        ('{"peak_bytes": ' + "9" * 100 + "}", 0),
        ('{"peak_bytes": "much"}', 0),
        ("[" * 100_000, 0),
        ("", 0),
    ],
)
def test_what_an_attempt_says_of_its_memory_may_be_anything(
    tmp_path: Path, said: str, peak: int
) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / USAGE).write_text(said)
    assert peak_memory(tmp_path) == peak


def test_what_an_attempt_says_of_its_memory_is_no_link_and_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    elsewhere, usage = tmp_path / "elsewhere", tmp_path / "scratch" / USAGE
    elsewhere.write_text('{"peak_bytes": 1}')
    usage.symlink_to(elsewhere)
    assert peak_memory(tmp_path) == 0
    usage.unlink()
    os.mkfifo(usage)
    assert peak_memory(tmp_path) == 0
