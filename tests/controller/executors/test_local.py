"""What is special about processes of this machine; the contract is in `test_contract`."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from controller.machine.runs.attempt import AttemptState
from deployers.processes import Processes, ProcessStatus
from specs.failures import NeedsHuman
from tests.contracts.executor import (
    SECRET,
    announced,
    becomes,
    ends,
    gate,
    lines,
    printed,
    run,
    until,
)
from tests.controller.executors.site import LocalSite


async def test_an_attempt_whose_supervisor_is_killed_is_lost_and_nothing_of_it_runs_on(
    site: LocalSite, tmp_path: Path
) -> None:
    attempt = site.attempt(f"sh -c 'echo $PPID > {site.folder}/supervisor; sleep 600'")
    async with site.open(slots=1) as executor:
        await executor.start(attempt)

        async def begun() -> bool:
            return bool(lines(site.folder / "supervisor"))

        await until(begun)
        os.kill(int((site.folder / "supervisor").read_text()), signal.SIGKILL)
        assert (await ends(executor, attempt)).state is AttemptState.LOST
        # Its slot is free although nobody announced the end.
        assert (
            await run(executor, site.attempt("true", name="next"))
        ).state is AttemptState.SUCCEEDED


async def test_an_attempt_changes_threads_once_to_begin_and_once_to_end(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await site.artifact("before", "what came before")
    hops: list[str] = []
    real = asyncio.BaseEventLoop.run_in_executor

    def counted(loop: asyncio.BaseEventLoop, pool: Any, call: Any, *given: Any) -> Any:
        hops.append(str(call))
        return real(loop, pool, call, *given)

    async with site.open() as executor:
        # The first has its commit and its environment made.
        endings = announced(executor)
        await run(executor, site.attempt("true", name="first"))
        await endings.get()
        monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", counted)
        command = "sh -c 'cat {inputs.before} > {outputs.after}; echo hello'"
        attempt = site.attempt(command, inputs={"before": before}, outputs={"after": "after"})
        await executor.start(attempt)
        await endings.get()
        status = await executor.poll(attempt.id)
        outputs = await executor.collect(attempt)
        assert len(hops) == 2, hops
        monkeypatch.undo()
        assert status.state is AttemptState.SUCCEEDED
        assert await site.stored(outputs["after"]) == "what came before"


async def test_what_an_attempt_does_not_need_any_more_is_deleted_at_the_latest_with_the_executor(
    site: LocalSite,
) -> None:
    attempt = site.attempt("sh -c 'mkdir -p deep/er; touch deep/er/x; chmod 500 deep/er'")
    own = site.workspace.folder(attempt.id)
    async with site.open() as executor:
        await run(executor, attempt)
        assert (own / "code").is_dir()
        await executor.collect(attempt)
    assert {"code", ".git", "scratch"} & {each.name for each in own.iterdir()} <= {"code"}
    assert (own / "outputs").is_dir()


async def test_of_attempts_that_ended_nothing_is_read_to_know_which_are_unfinished(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    status = Processes.status

    def counted(processes: Processes, name: str) -> ProcessStatus:
        asked.append(name)
        return status(processes, name)

    running = site.attempt(gate(site.folder, "running"), name="running")
    async with site.open() as executor:
        for name in ("one", "two", "three"):
            await run(executor, site.attempt("true", name=name))
        await executor.start(running)
        await becomes(executor, running, AttemptState.RUNNING)
    async with site.open() as executor:
        executor.resume()
        monkeypatch.setattr(Processes, "status", counted)
        assert executor.unfinished() == [running.id]
        assert asked == [running.id]
        monkeypatch.undo()
        await executor.cancel(running.id, 0)
        await ends(executor, running)
        assert executor.unfinished() == []


async def test_an_end_is_announced(site: LocalSite) -> None:
    attempt = site.attempt("true")
    async with site.open() as executor:
        endings = announced(executor)
        await executor.start(attempt)
        assert await asyncio.wait_for(endings.get(), 60) == attempt.id


async def test_what_cannot_be_prepared_yet_takes_no_slot(site: LocalSite) -> None:
    gone = site.attempt("true", name="gone", commit="0" * 40)
    async with site.open(slots=1) as executor:
        await executor.start(gone)
        fine = site.attempt("true", name="fine")
        assert (await run(executor, fine)).state is AttemptState.SUCCEEDED


async def test_a_step_sees_the_files_that_it_reads_and_nothing_else_of_the_commit(
    site: LocalSite,
) -> None:
    attempt = site.attempt("sh -c 'cd ../..; find . | sort'")
    async with site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        seen = (await printed(executor, attempt)).split()
    assert seen == [".", "./models", "./models/mean", "./models/mean/said.txt"]


@pytest.mark.parametrize(
    ("command", "lacked"),
    [
        ("cat ../../shared/note.txt", "shared/note.txt"),
        ("python3 -c 'import helpers'", "helpers/secret_sauce.py"),
        ("sh -c 'echo no module named secret_sauce; exit 1'", "helpers/secret_sauce.py"),
        ("sh -c 'echo no such column: fare; exit 1'", None),
    ],
)
async def test_a_step_that_fails_for_a_file_that_it_does_not_read_is_told_so(
    site: LocalSite, command: str, lacked: str | None
) -> None:
    async with site.open() as executor:
        status = await run(executor, site.attempt(command))
    assert status.state is AttemptState.FAILED
    assert ("`reads` admits" in status.message) == (lacked is not None)
    assert (lacked or "") in status.message


async def test_after_its_outputs_are_stored_its_copies_are_deleted(
    site: LocalSite, tmp_path: Path
) -> None:
    attempt = site.attempt("sh -c 'echo x > {outputs.model}'", outputs={"model": "m"})
    async with site.open() as executor:
        await run(executor, attempt)
        first = await executor.collect(attempt)
    own = tmp_path / "attempts" / attempt.id
    assert not (own / "code").exists()
    assert not (own / "scratch").exists()
    async with site.open() as executor:  # as a restarted controller asks
        assert await executor.collect(attempt) == first


async def test_the_environment_of_a_step_holds_nothing_of_the_controllers(
    site: LocalSite,
) -> None:
    os.environ["HEADGATE_SECRET_KEY"] = "of-the-controller"
    try:
        attempt = site.attempt("env", env={"MODE": "fast"})
        async with site.open() as executor:
            await run(executor, attempt)
            seen = await printed(executor, attempt)
    finally:
        del os.environ["HEADGATE_SECRET_KEY"]
    assert "MODE=fast\n" in seen
    assert "HEADGATE_RUN=mean-1\n" in seen
    assert "HEADGATE_SECRET" not in seen


async def test_slots_that_were_made_fewer_hold_for_what_starts_now(site: LocalSite) -> None:
    old = [site.attempt(gate(site.folder, n), name=n) for n in ("a", "b")]
    async with site.open(slots=2) as executor:
        for attempt in old:
            await executor.start(attempt)
        for attempt in old:
            await becomes(executor, attempt, AttemptState.RUNNING)
    (site.folder / "c.go").touch()
    new = site.attempt(gate(site.folder, "c"), name="c")
    async with site.open(slots=1) as executor:
        await executor.start(new)
        (site.folder / "a.go").touch()
        await ends(executor, old[0])
        for _ in range(20):
            assert (await executor.poll(new.id)).state is AttemptState.PREPARING
            await asyncio.sleep(0.01)
        (site.folder / "b.go").touch()
        assert (await ends(executor, new)).state is AttemptState.SUCCEEDED


async def test_of_an_attempt_that_ended_the_log_is_kept_without_secrets(site: LocalSite) -> None:
    command = "sh -c 'echo before; env | grep KEY; echo after; printf \"\\\\377\"'"
    attempt = site.attempt(command, secrets=("KEY",))
    async with site.open() as executor:
        await run(executor, attempt)
        path = await executor.logs(attempt.id)
    assert path is not None
    assert path.read_bytes() == b"before\nKEY=***\nafter\n\xff"
    assert path.stat().st_mode & 0o077 == 0
    assert SECRET.encode() not in b"".join(
        each.read_bytes() for each in path.parent.iterdir() if each.is_file()
    )


@pytest.mark.parametrize(
    "leave",
    [
        "ln -s {secret} $OUT",
        "rm -r $(dirname $OUT); ln -s {folder} $(dirname $OUT)",
        "mkdir $OUT; ln -s {secret} $OUT/x",
        "mkdir $OUT; ln -s {folder} $OUT/x",
        "mkfifo $OUT",
        "mkdir $OUT; mkfifo $OUT/x",
    ],
)
async def test_what_leads_out_of_its_outputs_or_is_no_file_is_not_stored(
    site: LocalSite, tmp_path: Path, leave: str
) -> None:
    secret = tmp_path / "private" / "model"
    secret.parent.mkdir()
    secret.write_text(SECRET)
    script = f"OUT={{outputs.model}}; {leave.format(secret=secret, folder=secret.parent)}"
    attempt = site.attempt(f"sh -c '{script}'", outputs={"model": "deep/model"})
    async with site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        with pytest.raises(NeedsHuman, match=r"symbolic link|socket, pipe or device"):
            await executor.collect(attempt)
    kept = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert not any(SECRET in path.read_text() for path in kept)


async def test_a_step_has_the_processors_that_the_spec_gives_it(site: LocalSite) -> None:
    attempt = site.attempt("nproc", cpu=0.5)
    async with site.open() as executor:
        await run(executor, attempt)
        assert await printed(executor, attempt) == "1\n"
