"""Warm processes, as real ones: what a fork does and finds is as if the command had been run."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployers.confinement import Confinement, Kind, View, interpreter
from deployers.warm import CLIENT, WarmProcess
from tests.deployers.world import ROOT, living, until
from tests.rights import with_rights

MODULE = "tests.deployers.warm_program"


class Bench:
    """A warm process, and a place to run commands in."""

    def __init__(self, root: Path, kind: Kind) -> None:
        self.root = root
        self.work = root / "work"
        self.work.mkdir()
        self.work.chmod(0o777)  # whoever they are
        self.confinement = Confinement((root / "home",), kind=kind)
        self.user = self.confinement.user("a pipeline")
        self.programs = (*interpreter(Path(sys.prefix)), ROOT)
        self.environment = {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        self.warm = self.another()

    def another(self, module: str = MODULE) -> WarmProcess:
        address = self.root / "home" / "warm" / "socket"
        return WarmProcess(address, module, self.environment, self.programs, self.confinement)

    def begin(self, *words: str, warm: bool = True) -> subprocess.Popen[str]:
        """The command with these words, by the warm process or as it is."""
        command: tuple[str, ...] = (sys.executable, "-P", "-m", MODULE, *words)
        if warm:
            command = self.warm.command(command)
        reads = (*self.programs, CLIENT, *([self.warm.address] if warm else ()))
        view = View(self.work, reads, (self.work,))
        return subprocess.Popen(
            [*self.confinement.within(view, self.user), *command],
            env={**self.environment, "TMPDIR": str(self.work), "MINE": words[0]},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, warm: bool = True) -> tuple[int, str, str]:
        """How it ended, as bwrap says it, and what it printed."""
        with self.begin(*words, warm=warm) as process:
            out, err = process.communicate()
        code = process.returncode
        return 128 - code if code < 0 else code, out, err

    def find(self, *, warm: bool) -> dict[str, object]:
        """What a command finds."""
        code, out, err = self.run("find", warm=warm)
        assert code == 0, err
        found: dict[str, object] = json.loads(out)
        return found

    def forks(self) -> list[int]:
        """The warm process and its forks."""
        return [int(entry.split(":")[0]) for entry in living(self.root) if "warm_server" in entry]

    def close(self) -> None:
        self.warm.close()


@pytest.fixture(params=["none", pytest.param("namespace", marks=pytest.mark.bwrap)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """See `Bench`; at the end none of its processes may run."""
    if request.param != "none":
        request.getfixturevalue("namespaces")
    made = Bench(tmp_path, request.param)
    made.environment["TEST"] = str(tmp_path)
    made.warm.start()
    until(made.forks)
    yield made
    made.close()
    until(lambda: not living(tmp_path))


def compared(bench: Bench) -> tuple[dict[str, object], dict[str, object]]:
    """What a fresh process finds and what a fork finds, after another fork changed all it could."""
    assert bench.run("change")[:2] == (0, "changed\n")
    return bench.find(warm=False), bench.find(warm=True)


def test_a_fork_finds_what_a_fresh_process_finds_whatever_an_earlier_one_left(
    bench: Bench,
) -> None:
    fresh, forked = compared(bench)
    if bench.confinement.kind == "none":  # it is a process of the controller's like any other
        fresh["status"] = forked["status"] = None
    assert forked == fresh


@pytest.mark.bwrap
def test_a_fork_is_the_user_of_its_command_where_pipelines_have_users(
    tmp_path: Path, namespaces: None
) -> None:
    done = with_rights("tests.deployers.warm_story", str(tmp_path))
    assert done.code == 0, done.err
    told = json.loads(done.out)
    if not told:
        pytest.skip("no users of their own: root lacks a right here")
    assert told["forked"] == told["fresh"]
    (uids,) = [line for line in told["forked"]["status"] if line.startswith("Uid")]
    assert set(uids.split()[1:]) == {str(told["user"])}
    assert told["warm"] == {"uids": [str(told["warm_user"])], "effective": "0" * 16}


def test_forks_import_nothing_again(bench: Bench) -> None:
    assert bench.run("imported", warm=False)[1] == "[False, False]\n"
    assert bench.run("imported")[1] == "[True, False]\n"


def test_what_a_fork_needed_besides_is_imported_for_those_after_it(bench: Bench) -> None:
    for _ in range(2):
        assert bench.run("need")[:2] == (0, "")
        assert bench.run("imported")[1] == "[True, True]\n"


@pytest.mark.parametrize("words", [("exit", "0"), ("exit", "3"), ("signal", "15"), ("raise",)])
def test_the_command_ends_as_the_fork_ends(bench: Bench, words: tuple[str, ...]) -> None:
    code, out, _ = bench.run(*words, warm=False)
    assert bench.run(*words)[:2] == (code, out)


def test_what_the_fork_used_is_told(bench: Bench) -> None:
    bench.run("hold", str(200 * 2**20))
    usage = json.loads((bench.work / "usage.json").read_text())
    assert usage["peak_bytes"] > 200 * 2**20
    assert usage["cpu_seconds"] > 0


def test_the_fork_ends_with_its_command(bench: Bench) -> None:
    sign = bench.work / "sign"
    with bench.begin("wait", str(sign)) as process:
        until(sign.exists)
        assert len(bench.forks()) == 3, "the warm process, and a pair of forks"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    until(lambda: len(bench.forks()) == 1)


def test_a_fork_goes_on_without_the_warm_process_and_the_next_gets_another(bench: Bench) -> None:
    sign = bench.work / "sign"
    with bench.begin("wait", str(sign)) as process:
        until(sign.exists)
        warm = min(bench.forks())
        os.kill(warm, signal.SIGKILL)
        until(lambda: warm not in bench.forks())
        sign.unlink()
        process.communicate()
    assert process.returncode == 0
    assert bench.warm.start()
    assert bench.run("imported")[1] == "[True, False]\n"


def test_a_fork_that_is_killed_from_outside_is_a_command_that_was_killed(bench: Bench) -> None:
    sign = bench.work / "sign"
    with bench.begin("wait", str(sign)) as process:
        until(sign.exists)
        _, waiting, _ = sorted(bench.forks())
        os.kill(waiting, signal.SIGKILL)  # the one that would have told how it ended
        process.communicate()
    assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    until(lambda: len(bench.forks()) == 1)


@pytest.mark.parametrize("kind", [pytest.param("namespace", marks=pytest.mark.bwrap)])
def test_a_fork_that_signals_all_it_can_reaches_only_its_own_sandbox(
    tmp_path: Path, namespaces: None, kind: Kind
) -> None:
    bench = Bench(tmp_path, kind)
    bench.environment["TEST"] = str(tmp_path)
    bench.warm.start()
    sign = bench.work / "sign"
    with bench.begin("wait", str(sign)) as other:
        until(sign.exists)
        assert bench.run("kill-all")[0] != 0
        assert len(bench.forks()) == 3
        sign.unlink()
        other.communicate()
    assert other.returncode == 0
    bench.close()


def test_without_a_warm_process_the_command_itself_is_run(bench: Bench) -> None:
    bench.close()
    bench.warm.address.touch()  # what is left of it
    assert bench.run("imported")[:2] == (0, "[False, False]\n")


def test_a_warm_process_that_cannot_start_is_not_started_for_every_command(bench: Bench) -> None:
    broken = bench.another("tests.deployers.no_such_program")
    assert broken.start()
    until(lambda: not broken.start())
    assert not any("no_such_program" in each for each in living(bench.root))
    broken.close()


def test_a_folder_that_takes_no_socket_is_no_error(bench: Bench) -> None:
    bench.close()
    bench.warm.address.mkdir()
    assert not bench.warm.start()


def test_a_warm_process_ends_with_the_controller(bench: Bench) -> None:
    before = set(bench.forks())
    controller = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(bench.root), bench.confinement.kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with controller:
        assert controller.stdout is not None
        controller.stdout.readline()
        started = until(lambda: set(bench.forks()) - before)
        controller.kill()
    until(lambda: not started & set(bench.forks()))


def test_a_warm_process_ends_when_nobody_has_asked_for_a_while(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        number = listening.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, MODULE, str(number)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            pass_fds=(number,),
        ) as warm:
            assert warm.wait() == 0


IMPATIENT = """
import sys
from deployers import warm_server
warm_server.IDLE = 0.01
warm_server.main(*sys.argv[1:])
"""
CONTROLLER = """
import sys, time
from pathlib import Path
from tests.deployers.test_warm import Bench
root = Path(sys.argv[1]) / "other"
root.mkdir()
bench = Bench(root, sys.argv[2])
bench.environment["TEST"] = str(root)
bench.warm.start()
print("started", flush=True)
time.sleep(1000)
"""
