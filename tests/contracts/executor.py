"""The contract of every executor.

An executor's tests subclass `ExecutorContract` and provide the fixture `site`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from controller.executors.protocol import Executor, ManagedExecutor
from controller.machine.runs.attempt import Attempt, AttemptState, Input, Status

DEADLINE = 60.0
"""Seconds after which something that should happen has not."""
SECRET = "correct-horse-battery"


class Site(Protocol):
    """What the suite needs of a place. Its commit holds `said.txt`, which says `committed`, in the
    spec's folder, and `shared/note.txt`, which says `beside`, in that of the repository."""

    folder: Path
    """A folder that steps can reach, for what they tell the test past the executor."""

    def open(self, slots: int = 4) -> AbstractAsyncContextManager[ManagedExecutor]:
        """An executor with SECRET as the secret KEY. Leaving it closes it and ends no attempt."""
        ...

    async def start_and_die(self, attempt: Attempt) -> None:
        """Start it in another controller, see it running, and kill that controller."""
        ...

    def attempt(self, command: str, name: str = "train", **changes: Any) -> Attempt:
        """An attempt at a step of the commit."""
        ...

    async def dataset(self, objects: Mapping[str, str]) -> Input:
        """A dataset version with these objects, listed and not yet copied."""
        ...

    async def artifact(self, name: str, content: str) -> Input:
        """An artifact in the store, written under that name."""
        ...

    def bucket(self, key: str) -> Path:
        """Where an object of the dataset is."""
        ...

    async def stored(self, digest: str) -> str:
        """What the artifact holds."""
        ...

    def lives(self, pid_file: Path) -> bool:
        """Whether the process runs whose id a step wrote down, if it came to that."""
        ...


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something to be true."""
    async with asyncio.timeout(DEADLINE):
        while not await look():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)


async def becomes(executor: Executor, attempt: Attempt, *states: AttemptState) -> Status:
    """Wait until the attempt is in one of the states."""

    async def there() -> bool:
        return (await executor.poll(attempt.id)).state in states

    await until(there)
    return await executor.poll(attempt.id)


async def ends(executor: Executor, attempt: Attempt) -> Status:
    """Wait for the end of an attempt."""
    return await becomes(executor, attempt, *(state for state in AttemptState if state.ended))


async def run(executor: Executor, attempt: Attempt) -> Status:
    """Start it and wait for its end."""
    await executor.start(attempt)
    return await ends(executor, attempt)


def announced(executor: ManagedExecutor) -> asyncio.Queue[str]:
    """The ids of the attempts that end from now on."""
    endings: asyncio.Queue[str] = asyncio.Queue()
    executor.announce(endings.put_nowait)
    return endings


async def printed(executor: Executor, attempt: Attempt) -> str:
    """Its log."""
    path = await executor.logs(attempt.id)
    return path.read_text() if path else ""


def gate(folder: Path, name: str) -> str:
    """A command that says it began, waits to be let through, and says it ended."""
    script = (
        f"echo {name} >> began; until [ -e {name}.go ]; do sleep 0.02; done; echo {name} >> ended"
    )
    return f"sh -c 'cd {folder}; {script}'"


def lines(path: Path) -> list[str]:
    """What was appended to a file, a line each."""
    return path.read_text().split() if path.exists() else []


class ExecutorContract:
    """Runs over every executor."""

    # -- a life ------------------------------------------------------------------------------

    async def test_an_attempt_is_followed_to_its_end_and_its_outputs_are_stored(
        self, site: Site
    ) -> None:
        command = f"{gate(site.folder, 'a')[:-1]}; echo hello; printf 7 > {{outputs.model}}'"
        attempt = site.attempt(command, outputs={"model": "deep/model.txt"})
        async with site.open() as executor:
            assert (await executor.poll(attempt.id)).state is AttemptState.UNKNOWN
            assert await executor.logs(attempt.id) is None
            await executor.start(attempt)
            running = await becomes(executor, attempt, AttemptState.RUNNING)
            (site.folder / "a.go").touch()
            done = await ends(executor, attempt)
            outputs = await executor.collect(attempt)
            assert await executor.collect(attempt) == outputs
            assert "hello" in await printed(executor, attempt)
        assert (done.state, done.exit_code, done.message) == (AttemptState.SUCCEEDED, 0, "")
        assert done.started is not None
        assert done.ended is not None
        assert running.started is not None
        assert max(running.started, done.started) <= done.ended
        assert await site.stored(outputs["model"]) == "7"

    async def test_an_attempt_runs_in_the_specs_folder_at_its_commit(self, site: Site) -> None:
        attempt = site.attempt("cat said.txt")
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            assert await printed(executor, attempt) == "committed\n"

    async def test_a_step_finds_what_it_reads_of_the_repository_by_its_root(
        self, site: Site
    ) -> None:
        attempt = site.attempt(
            "sh -c 'cat {root}/shared/note.txt $NOTES ../../shared/note.txt; echo $SAID'",
            files=("said.txt", "//shared/note.txt"),
            env={
                "NOTES": "{root}/shared/note.txt",
                "SAID": "{params.word} {{}}",
                "OLD": '{"a": {}}',
            },
            params={"word": "yes"},
        )
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            assert await printed(executor, attempt) == "beside\nbeside\nbeside\nyes {}\n"

    async def test_what_a_step_writes_where_it_stands_no_other_attempt_reads(
        self, site: Site
    ) -> None:
        vandal = site.attempt("sh -c 'echo forged > said.txt; echo mine > left.txt; cat said.txt'")
        next_one = site.attempt("sh -c 'cat said.txt; ls'", name="next")
        async with site.open() as executor:
            assert (await run(executor, vandal)).state is AttemptState.SUCCEEDED
            assert await printed(executor, vandal) == "forged\n"
            assert (await run(executor, next_one)).state is AttemptState.SUCCEEDED
            seen = await printed(executor, next_one)
        assert seen.startswith("committed\n")
        assert "left.txt" not in seen

    # -- once, whatever happens to the controller ----------------------------------------------

    async def test_starting_it_again_and_again_starts_it_once(self, site: Site) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        (site.folder / "a.go").touch()
        async with site.open() as executor:
            await asyncio.gather(*(executor.start(attempt) for _ in range(3)))
            await ends(executor, attempt)
            await executor.start(attempt)
            assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
        assert lines(site.folder / "began") == ["a"]

    async def test_another_executor_finds_what_one_that_was_dropped_left_running(
        self, site: Site
    ) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        async with site.open() as executor:
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.RUNNING)
        async with site.open() as executor:
            assert (await executor.poll(attempt.id)).state is AttemptState.RUNNING
            await executor.start(attempt)
            (site.folder / "a.go").touch()
            assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
        assert lines(site.folder / "began") == lines(site.folder / "ended") == ["a"]

    async def test_another_executor_finds_what_a_killed_controller_left_running(
        self, site: Site
    ) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        await site.start_and_die(attempt)
        async with site.open() as executor:
            await executor.start(attempt)
            assert (await executor.poll(attempt.id)).state is AttemptState.RUNNING
            (site.folder / "a.go").touch()
            assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
        assert lines(site.folder / "began") == lines(site.folder / "ended") == ["a"]

    async def test_an_attempt_that_could_not_be_prepared_stays_failed(self, site: Site) -> None:
        attempt = site.attempt("true", secrets=("NOBODY_KNOWS",))
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.FAILED
        fixed = attempt.model_copy(update={"secrets": ()})
        async with site.open() as executor:
            await executor.start(fixed)
            assert (await executor.poll(attempt.id)).state is AttemptState.FAILED

    async def test_only_what_was_started_here_is_known_also_by_the_next_controller(
        self, site: Site
    ) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        async with site.open() as executor:
            assert not executor.knows(attempt.id)
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.RUNNING)
            assert executor.knows(attempt.id)
        async with site.open() as executor:
            assert executor.knows(attempt.id)
            assert not executor.knows("mean-2.train.1")
            (site.folder / "a.go").touch()
            await ends(executor, attempt)
            assert executor.knows(attempt.id)

    async def test_what_an_earlier_controller_left_is_unfinished_until_its_end_is_announced(
        self, site: Site
    ) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        async with site.open() as executor:
            assert list(executor.unfinished()) == []
            await executor.start(attempt)
            assert list(executor.unfinished()) == [attempt.id]
            await becomes(executor, attempt, AttemptState.RUNNING)
        async with site.open() as executor:
            endings = announced(executor)
            executor.resume()
            executor.resume()
            assert list(executor.unfinished()) == [attempt.id]
            (site.folder / "a.go").touch()
            async with asyncio.timeout(DEADLINE):
                assert await endings.get() == attempt.id
            assert (await executor.poll(attempt.id)).state is AttemptState.SUCCEEDED
            assert list(executor.unfinished()) == []

    async def test_reaping_ends_nothing_that_runs_for_an_attempt(self, site: Site) -> None:
        attempt = site.attempt(gate(site.folder, "a"))
        async with site.open() as executor:
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.RUNNING)
            assert await executor.reap() == 0
            (site.folder / "a.go").touch()
            assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED

    # -- how it fails --------------------------------------------------------------------------

    async def test_a_missing_output_is_named_with_the_fix(self, site: Site) -> None:
        attempt = site.attempt("true", outputs={"model": "model.txt"})
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            try:
                await executor.collect(attempt)
            except Exception as failure:
                said = f"{type(failure).__name__}: {failure}"
        assert said.startswith("NeedsHuman: train ")
        assert "{outputs.model}" in said

    async def test_a_failure_tells_the_exit_code_and_the_last_words(self, site: Site) -> None:
        attempt = site.attempt("sh -c 'echo no such column: fare >&2; exit 3'")
        async with site.open() as executor:
            status = await run(executor, attempt)
        assert (status.state, status.exit_code) == (AttemptState.FAILED, 3)
        assert "exit code 3" in status.message
        assert status.message.endswith("no such column: fare")

    async def test_a_command_that_does_not_exist_is_named(self, site: Site) -> None:
        async with site.open() as executor:
            status = await run(executor, site.attempt("trainn --fast"))
        assert status.state is AttemptState.FAILED
        assert "trainn" in status.message

    async def test_a_command_that_cannot_be_filled_in_fails_and_says_so(self, site: Site) -> None:
        async with site.open() as executor:
            status = await run(executor, site.attempt("train {params.depth}"))
        assert status.state is AttemptState.FAILED
        assert "params.depth" in status.message

    async def test_a_step_that_takes_too_long_is_ended_with_all_that_it_started(
        self, site: Site
    ) -> None:
        command = f"sh -c 'sleep 600 & echo $! > {site.folder}/child; sleep 600'"
        async with site.open() as executor:
            status = await run(executor, site.attempt(command, timeout=0.3))
        assert status.state is AttemptState.TIMED_OUT
        assert "timeout" in status.message
        assert not site.lives(site.folder / "child")

    async def test_a_program_that_a_step_builds_runs_in_the_next(self, site: Site) -> None:
        build = 'sh -c \'printf "#!/bin/sh\\necho scored" > {outputs.scorer}; '
        build += "chmod +x {outputs.scorer}'"
        built = site.attempt(build, outputs={"scorer": "bin/scorer"})
        async with site.open() as executor:
            assert (await run(executor, built)).state is AttemptState.SUCCEEDED
            digest = (await executor.collect(built))["scorer"]
            given = {"scorer": Input(kind="artifact", digest=digest, name="scorer")}
            score = site.attempt("{inputs.scorer}", "score", inputs=given)
            assert (await run(executor, score)).state is AttemptState.SUCCEEDED
            assert await printed(executor, score) == "scored\n"

    async def test_a_step_is_told_what_it_is_a_step_of(self, site: Site) -> None:
        names = ("PIPELINE", "RUN", "STEP", "COMMIT", "BRANCH")
        told = " ".join(f"$HEADGATE_{name}" for name in names)
        attempt = site.attempt(f"sh -c 'echo {told}'", pipeline="mean", branch="feature/x")
        async with site.open() as executor:
            await run(executor, attempt)
            said = (await printed(executor, attempt)).split()
        assert said == ["mean", "mean-1", "train", attempt.commit, "feature/x"]

    async def test_a_step_is_held_to_its_memory(self, site: Site) -> None:
        grab = 'python3 -c "bytearray(2**30)"'
        async with site.open() as executor:
            held = await run(executor, site.attempt(grab, memory=256 * 2**20))
        assert held.state in (AttemptState.FAILED, AttemptState.OUT_OF_MEMORY)
        assert "emory" in held.message

    # -- cancelled -----------------------------------------------------------------------------

    async def test_cancelling_ends_it_with_all_that_it_started(self, site: Site) -> None:
        command = f"sh -c 'sleep 600 & echo $! > {site.folder}/child; sleep 600'"
        attempt = site.attempt(command)
        async with site.open() as executor:
            await executor.start(attempt)

            async def begun() -> bool:
                return bool(lines(site.folder / "child"))

            await until(begun)
            await executor.cancel(attempt.id)
            assert (await ends(executor, attempt)).state is AttemptState.CANCELLED
            await executor.cancel(attempt.id)
            assert (await executor.poll(attempt.id)).state is AttemptState.CANCELLED
        assert not site.lives(site.folder / "child")

    async def test_cancelling_again_with_less_grace_kills_what_ignores_the_first(
        self, site: Site
    ) -> None:
        ignoring = "trap : TERM; touch began; while true; do sleep 0.05; done"
        attempt = site.attempt(f"sh -c 'cd {site.folder}; {ignoring}'")
        async with site.open() as executor:
            await executor.start(attempt)

            async def begun() -> bool:
                return (site.folder / "began").exists()

            await until(begun)
            await executor.cancel(attempt.id, 600.0)
            await executor.cancel(attempt.id, 0.0)
            assert (await ends(executor, attempt)).state is AttemptState.CANCELLED

    async def test_what_is_cancelled_while_it_waits_never_starts(self, site: Site) -> None:
        first = site.attempt(gate(site.folder, "a"), name="a")
        second = site.attempt(gate(site.folder, "b"), name="b")
        async with site.open(slots=1) as executor:
            await executor.start(first)
            await becomes(executor, first, AttemptState.RUNNING)
            await executor.start(second)
            assert (await executor.poll(second.id)).state is AttemptState.PREPARING
            await executor.cancel(second.id)
            assert (await ends(executor, second)).state is AttemptState.CANCELLED
            (site.folder / "a.go").touch()
            await ends(executor, first)
        async with site.open() as executor:
            await executor.start(second)
            assert (await executor.poll(second.id)).state is AttemptState.CANCELLED
        assert lines(site.folder / "began") == ["a"]

    async def test_what_is_cancelled_in_the_moment_of_its_start_ends(self, site: Site) -> None:
        async with site.open() as executor:
            for number in range(8):
                attempt = site.attempt("sleep 600", name=f"s{number}")
                await executor.start(attempt)
                for _ in range(number):
                    await asyncio.sleep(0.003)
                await executor.cancel(attempt.id)
                assert (await ends(executor, attempt)).state is AttemptState.CANCELLED

    async def test_cancelling_what_has_ended_changes_nothing(self, site: Site) -> None:
        attempt = site.attempt("true")
        async with site.open() as executor:
            before = await run(executor, attempt)
            await executor.cancel(attempt.id)
            assert await executor.poll(attempt.id) == before

    # -- what it is given ----------------------------------------------------------------------

    async def test_inputs_are_exactly_what_was_pinned(self, site: Site) -> None:
        numbers = await site.dataset({"a.csv": "1", "deep/b.csv": "2"})
        model = await site.artifact("model.json", "{}")
        site.bucket("c.csv").write_text("too late")
        attempt = site.attempt(
            "sh -c 'cd {inputs.numbers}; find . -type f | sort; echo $(cat a.csv) {inputs.model}'",
            inputs={"numbers": numbers, "model": model},
        )
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            *names, last = (await printed(executor, attempt)).splitlines()
        assert names == ["./a.csv", "./deep/b.csv"]
        content, model_path = last.split()
        assert (content, Path(model_path).name) == ("1", "model.json")

    async def test_inputs_are_not_for_writing(self, site: Site) -> None:
        numbers = await site.dataset({"a.csv": "1"})
        model = await site.artifact("model.json", "{}")
        attempt = site.attempt(
            "stat -c %A {inputs.numbers} {inputs.numbers}/a.csv {inputs.model}",
            inputs={"numbers": numbers, "model": model},
        )
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            modes = (await printed(executor, attempt)).split()
        assert [mode[:4] for mode in modes] == ["dr-x", "-r--", "-r--"]
        assert "w" not in "".join(modes)

    async def test_what_a_step_does_to_its_artifact_harms_no_other(self, site: Site) -> None:
        model = await site.artifact("model.json", "{}")
        vandal = "sh -c 'chmod u+w {inputs.model}; echo forged > {inputs.model}'"
        async with site.open() as executor:
            await run(executor, site.attempt(vandal, name="a", inputs={"model": model}))
            reader = site.attempt("cat {inputs.model}", name="b", inputs={"model": model})
            await run(executor, reader)
            assert await printed(executor, reader) == "{}"

    async def test_data_that_changed_in_between_ends_the_attempt_so_and_names_the_object(
        self, site: Site
    ) -> None:
        numbers = await site.dataset({"a.csv": "1", "b.csv": "2"})
        site.bucket("b.csv").write_text("something else")
        attempt = site.attempt("ls {inputs.numbers}", inputs={"numbers": numbers})
        async with site.open() as executor:
            status = await run(executor, attempt)
        assert status.state is AttemptState.DATA_CHANGED
        assert "b.csv" in status.message

    async def test_by_uri_the_step_gets_addresses_and_versions_and_nothing_is_copied(
        self, site: Site
    ) -> None:
        numbers = await site.dataset({"a.csv": "1"})
        given = numbers.model_copy(update={"access": "uri"})
        attempt = site.attempt("cat {inputs.numbers}", inputs={"numbers": given})
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            said = json.loads(await printed(executor, attempt))
        (about,) = said["objects"]
        assert said["dataset"] == "numbers"
        assert (about["key"], about["uri"]) == ("a.csv", site.bucket("a.csv").as_uri())
        assert about["version"].startswith("sha256:")

    # -- secrets and logs ----------------------------------------------------------------------

    async def test_only_a_step_that_names_a_secret_gets_it(self, site: Site) -> None:
        async with site.open() as executor:
            for name, secrets in (("with", ("KEY",)), ("without", ())):
                command = f"sh -c 'echo ${{{{KEY:-none}}}} > {site.folder}/{name}'"
                await run(executor, site.attempt(command, name=name, secrets=secrets))
        assert lines(site.folder / "with") == [SECRET]
        assert lines(site.folder / "without") == ["none"]

    async def test_a_secret_in_the_last_words_is_not_told_wherever_they_are_cut(
        self, site: Site
    ) -> None:
        async with site.open() as executor:
            for padding in (0, 1170, 1190, 1200, 2400):
                script = f"printf %s $KEY; head -c {padding} /dev/zero | tr \\\\0 x; exit 1"
                command = f"sh -c '{script}'"
                attempt = site.attempt(command, name=f"p{padding}", secrets=("KEY",))
                status = await run(executor, attempt)
                assert status.state is AttemptState.FAILED
                for end in range(5, len(SECRET)):
                    assert SECRET[-end:] not in status.message

    async def test_an_unknown_secret_fails_the_attempt_and_is_named(self, site: Site) -> None:
        async with site.open() as executor:
            status = await run(executor, site.attempt("true", secrets=("TOKEN",)))
        assert status.state is AttemptState.FAILED
        assert "HEADGATE_SECRET_TOKEN" in status.message

    async def test_a_flood_of_output_costs_neither_the_step_nor_the_disk(self, site: Site) -> None:
        flood = "sh -c 'echo first; head -c 30000000 /dev/zero | tr \\\\0 x; echo; echo last'"
        attempt = site.attempt(flood)
        async with site.open() as executor:
            assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
            path = await executor.logs(attempt.id)
            assert path is not None
            size, text = path.stat().st_size, path.read_text()
        assert size < 6 * 2**20
        assert text.startswith("first\n")
        assert text.endswith("last\n")

    # -- how many at a time --------------------------------------------------------------------

    async def test_never_more_than_its_slots_run_at_a_time(self, site: Site) -> None:
        attempts = [site.attempt(gate(site.folder, f"s{n}"), name=f"s{n}") for n in range(4)]
        async with site.open(slots=2) as executor:
            for attempt in attempts:
                await executor.start(attempt)
            for ended in range(3):

                async def begun(wanted: int = ended + 2) -> bool:
                    return len(lines(site.folder / "began")) == wanted

                async def running(wanted: int = 2) -> bool:
                    states = [(await executor.poll(attempt.id)).state for attempt in attempts]
                    assert states.count(AttemptState.RUNNING) <= wanted
                    return states.count(AttemptState.RUNNING) == wanted

                await until(begun)
                await until(running)
                name = next(
                    n
                    for n in lines(site.folder / "began")
                    if not (site.folder / f"{n}.go").exists()
                )
                (site.folder / f"{name}.go").touch()
            for attempt in attempts:
                (site.folder / f"{attempt.node}.go").touch()
                assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED

    async def test_what_an_earlier_executor_left_running_takes_its_slot(self, site: Site) -> None:
        first = site.attempt(gate(site.folder, "a"), name="a")
        second = site.attempt(gate(site.folder, "b"), name="b")
        (site.folder / "b.go").touch()
        async with site.open(slots=1) as executor:
            await executor.start(first)
            await becomes(executor, first, AttemptState.RUNNING)
        async with site.open(slots=1) as executor:
            await executor.start(second)
            for _ in range(20):  # as good as certain to show a second one that runs
                assert (await executor.poll(second.id)).state is AttemptState.PREPARING
                await asyncio.sleep(0.01)
            (site.folder / "a.go").touch()
            assert (await ends(executor, second)).state is AttemptState.SUCCEEDED
        assert lines(site.folder / "began") == ["a", "b"]
