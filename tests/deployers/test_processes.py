"""Supervised processes: real commands, real kills, and nothing left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployers import supervisor
from deployers.processes import Exit, Processes, ProcessSpec, ProcessState, Reason
from tests.deployers.world import PATH, living, until

ROOT = Path(supervisor.__file__).parents[1]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Processes in a home of their own; none may be left running."""
    with Processes(tmp_path / "home") as made:
        yield made
        for name in made.names():
            made.stop(name, grace=0)
    until(lambda: not living(tmp_path))


def spec(tmp_path: Path, *argv: str, **bounds: object) -> ProcessSpec:
    environment = {"PATH": PATH, "TEST": str(tmp_path)}
    return ProcessSpec(argv=argv, cwd=str(tmp_path), environment=environment, **bounds)  # type: ignore[arg-type]  # the bounds are passed on


def sh(tmp_path: Path, script: str, **bounds: object) -> ProcessSpec:
    return spec(tmp_path, "sh", "-c", script, **bounds)


def end(processes: Processes, name: str) -> Exit:
    until(lambda: processes.status(name).state in {ProcessState.ENDED, ProcessState.LOST})
    ending = processes.status(name).exit
    assert ending is not None
    return ending


def holder(processes: Processes, name: str) -> int:
    """The process id of the supervisor, by the mark of its command's parent."""
    folder = processes.log(name).parent
    until(lambda: (folder / "log").exists() and processes.tail(name))
    return parent(int(processes.tail(name).split()[0]))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_command_runs_and_leaves_its_code_its_output_and_what_it_cost(
    processes: Processes, tmp_path: Path
) -> None:
    before = time.time()
    processes.start("step", sh(tmp_path, "echo out; echo err >&2; pwd; exit 3"))
    ending = end(processes, "step")
    assert (ending.reason, ending.code, ending.signal) == (Reason.EXITED, 3, None)
    assert not ending.succeeded
    assert before <= ending.started <= ending.finished
    assert ending.peak_bytes > 0
    assert processes.log("step").read_text() == f"out\nerr\n{tmp_path}\n"


def test_starting_one_name_twice_runs_it_once(processes: Processes, tmp_path: Path) -> None:
    once = sh(tmp_path, "echo ran >> ran; sleep 0.1")
    for _ in range(5):
        processes.start("step", once)
    end(processes, "step")
    processes.start("step", once)
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert processes.status("step").state is ProcessState.ENDED


def test_a_command_sees_its_environment_and_nothing_else_and_no_file_keeps_it(
    processes: Processes, tmp_path: Path
) -> None:
    secret = {"PATH": PATH, "TEST": str(tmp_path), "TOKEN": "SECRET"}
    argv = ("sh", "-c", "env; echo ready; sleep 60")
    known = ProcessSpec(argv=argv, cwd=str(tmp_path), environment=secret)
    assert "SECRET" not in repr(known)
    processes.start("step", known)
    until(lambda: "ready" in processes.tail("step"))
    seen = dict(line.split("=", 1) for line in processes.tail("step").split() if "=" in line)
    assert seen.keys() - {"PWD", "OLDPWD", "SHLVL", "_"} == {
        "PATH",
        "TEST",
        "TOKEN",
        supervisor.MARK,
    }
    folder = processes.log("step").parent
    kept = [file for file in folder.iterdir() if file.is_file() and file.name != "log"]
    assert not [file for file in kept if "SECRET" in file.read_text()]
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("no-such-command",), "cannot run 'no-such-command': No such file or directory; PATH is"),
        (("./script",), "the interpreter in its first line is missing"),
        (("./data",), "cannot run './data': Permission denied"),
    ],
)
def test_a_command_that_cannot_start_says_why(
    processes: Processes, tmp_path: Path, argv: tuple[str, ...], told: str
) -> None:
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "data").write_text("")
    processes.start("step", spec(tmp_path, *argv))
    ending = end(processes, "step")
    assert ending.reason is Reason.COULD_NOT_START
    assert told in ending.detail


def test_a_missing_working_directory_is_named(processes: Processes, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    processes.start("step", ProcessSpec(argv=("true",), cwd=str(gone), environment={"PATH": PATH}))
    assert end(processes, "step").detail.startswith(f"cannot enter the working directory '{gone}'")


def test_a_command_past_its_timeout_is_ended_with_all_its_children(
    processes: Processes, tmp_path: Path
) -> None:
    script = "sleep 1000 & setsid sleep 1000 & (sleep 1000 &) ; sleep 1000"
    processes.start("step", sh(tmp_path, script, timeout=0.2, grace=0.2))
    ending = end(processes, "step")
    assert ending.reason is Reason.TIMEOUT
    assert ending.detail == "took longer than 0.2 s"
    assert not [line for line in living(tmp_path) if "sleep" in line]


def test_a_command_that_ignores_sigterm_is_killed_after_its_grace(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start("step", sh(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 1; done"))
    until(lambda: processes.tail("step"))
    processes.stop("step", grace=0.1)
    ending = end(processes, "step")
    assert (ending.reason, ending.signal) == (Reason.CANCELLED, signal.SIGKILL)


def test_a_wrapped_server_gets_its_grace_although_its_shell_ends_at_once(
    processes: Processes, tmp_path: Path
) -> None:
    server = "trap 'sleep 0.2; echo drained; exit' TERM; echo up; while :; do sleep 0.01; done"
    processes.start("server", sh(tmp_path, f'sh -c "{server}" & wait'))
    until(lambda: processes.tail("server"))
    processes.stop("server", grace=30)
    assert end(processes, "server").reason is Reason.CANCELLED
    assert processes.log("server").read_text().endswith("drained\n")


def test_what_a_command_leaves_in_the_background_ends_with_it(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start("step", sh(tmp_path, "setsid sh -c 'sleep 1000 & sleep 1000' & exit 0"))
    assert end(processes, "step").succeeded
    assert not [line for line in living(tmp_path) if "sleep" in line]


def test_endless_output_keeps_its_head_and_its_tail_and_says_what_was_cut(
    processes: Processes, tmp_path: Path
) -> None:
    script = "echo first; head -c 100000000 /dev/zero; echo; echo last"
    processes.start("step", sh(tmp_path, script, log_bytes=10_000))
    assert end(processes, "step").succeeded
    log = processes.log("step").read_bytes()
    assert len(log) < 10_100
    assert log.startswith(b"first\n")
    assert log.endswith(b"\nlast\n")
    assert b"\n[headgate: 99990012 bytes of output cut here]\n" in log
    assert processes.tail("step", 6) == "\nlast\n"


def test_output_can_be_read_while_it_grows(processes: Processes, tmp_path: Path) -> None:
    script = "seq 5000; echo mark; sleep 1000"
    processes.start("step", sh(tmp_path, script, log_bytes=1000))
    until(lambda: processes.tail("step", 5) == "mark\n")
    assert "4999\n5000\nmark\n" in processes.tail("step", 500)
    assert processes.log("step").read_text().startswith("1\n2\n3\n")


def test_limits_are_in_force(processes: Processes, tmp_path: Path) -> None:
    processes.start("step", sh(tmp_path, "ulimit -c; nproc", cpus=1))
    end(processes, "step")
    assert processes.log("step").read_text().split() == ["0", "1"]


def test_more_processors_than_there_are_is_all_of_them(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start("step", sh(tmp_path, "nproc", cpus=10_000))
    end(processes, "step")
    assert int(processes.log("step").read_text()) == len(os.sched_getaffinity(0))


def test_a_name_that_was_never_started_is_new_and_stopping_it_is_nothing(
    processes: Processes,
) -> None:
    processes.stop("nobody")
    assert processes.status("nobody").state is ProcessState.NEW
    assert processes.names() == []
    assert processes.tail("nobody") == ""


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a\nb", "x" * 201])
def test_a_name_that_could_leave_the_home_is_refused(processes: Processes, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a process"):
        processes.status(name)


def test_a_running_process_cannot_be_removed_and_an_ended_one_leaves_nothing(
    processes: Processes, tmp_path: Path
) -> None:
    processes.start("step", sh(tmp_path, "sleep 1000"))
    until(lambda: processes.status("step").state is ProcessState.RUNNING)
    with pytest.raises(ValueError, match="still runs"):
        processes.remove("step")
    processes.stop("step", grace=1)
    end(processes, "step")
    processes.remove("step")
    processes.remove("step")
    assert processes.names() == []
    processes.start("step", sh(tmp_path, "echo again"))
    end(processes, "step")
    assert processes.log("step").read_text() == "again\n"


def test_what_a_process_wrote_can_outlive_it_in_place_of_what_the_one_before_it_wrote(
    processes: Processes, tmp_path: Path
) -> None:
    kept = tmp_path / "kept" / "step"
    for word in ("first", "second"):
        processes.start("step", sh(tmp_path, f"echo {word}"))
        end(processes, "step")
        processes.put_away("step", kept)
        processes.put_away("step", kept)  # as after a crash: the kept output stays
        assert (kept / "log").read_text() == f"{word}\n"
    assert processes.names() == []
    assert kept.stat().st_mode & 0o077 == 0
    processes.start("step", sh(tmp_path, "sleep 1000"))
    until(lambda: processes.status("step").state is ProcessState.RUNNING)
    with pytest.raises(ValueError, match="still runs"):
        processes.put_away("step", kept)
    processes.stop("step", grace=1)
    end(processes, "step")


def test_one_that_is_stopped_before_it_began_never_runs(
    processes: Processes, tmp_path: Path
) -> None:
    # As left by a controller that was killed before it asked for a supervisor.
    folder = processes.log("step").parent
    folder.mkdir()
    assert processes.status("step").state is ProcessState.NEW
    processes.stop("step")
    assert end(processes, "step").reason is Reason.CANCELLED
    processes.start("step", sh(tmp_path, "echo ran"))
    assert not processes.log("step").exists()


def test_a_killed_supervisor_takes_everything_with_it_and_is_called_lost(
    processes: Processes, tmp_path: Path
) -> None:
    script = "(setsid sleep 1000 &); sleep 1000 & echo $$; exec sleep 1000"
    processes.start("step", sh(tmp_path, script))
    os.kill(holder(processes, "step"), signal.SIGKILL)
    opened = len([*Path("/proc/self/fd").iterdir()])
    until(lambda: processes.status("step").state is ProcessState.LOST)
    assert not [line for line in living(tmp_path) if "sleep" in line]
    assert (
        len([*Path("/proc/self/fd").iterdir()]) <= opened
    )  # no descriptor of another process is kept
    processes.start("step", sh(tmp_path, "echo again"))  # an unknown result is a result, too
    assert processes.status("step").state is ProcessState.LOST


def test_a_killed_zygote_is_replaced(processes: Processes, tmp_path: Path) -> None:
    processes.start("first", sh(tmp_path, "sleep 1000"))
    until(lambda: processes.status("first").state is ProcessState.RUNNING)
    pids = [int(line.split(":")[0]) for line in living(tmp_path) if "supervisor" in line]
    (zygote,) = (pid for pid in pids if parent(pid) == os.getpid())
    os.kill(zygote, signal.SIGKILL)
    processes.start("second", sh(tmp_path, "exit 0"))

    def ended() -> bool:
        processes.start("second", sh(tmp_path, "exit 0"))  # as a controller would
        return processes.status("second").state is ProcessState.ENDED

    until(ended)
    assert processes.status("first").state is ProcessState.RUNNING


async def test_the_end_of_a_process_wakes_whoever_waits(
    processes: Processes, tmp_path: Path
) -> None:
    endings: asyncio.Queue[str] = asyncio.Queue()
    processes.announce(endings.put_nowait)
    processes.start("step", sh(tmp_path, "exit 0"))
    assert await asyncio.wait_for(endings.get(), 20) == "step"
    assert processes.status("step").state is ProcessState.ENDED


CONTROLLER = """
import sys
from pathlib import Path
from deployers.processes import Processes, ProcessSpec
home, name, script, path = sys.argv[1:]
processes = Processes(Path(home))
processes.start(name, ProcessSpec(argv=("sh", "-c", script), cwd=str(Path(home).parent),
                                  environment={"PATH": path, "TEST": home}))
print("asked", flush=True)
sys.stdin.read()
"""


def controller(home: Path, name: str, script: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(home), name, script, PATH],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


async def test_a_process_outlives_a_killed_controller_and_the_next_one_adopts_it(
    processes: Processes, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    first = controller(home, "step", "echo up; while [ ! -e go ]; do sleep 0.01; done; exit 7")
    with first:
        until(lambda: "up" in processes.tail("step"))
        first.kill()
    assert processes.status("step").state is ProcessState.RUNNING
    endings: asyncio.Queue[str] = asyncio.Queue()
    processes.announce(endings.put_nowait)
    (tmp_path / "go").touch()
    assert await asyncio.wait_for(endings.get(), 20) == "step"
    assert end(processes, "step").code == 7


def test_a_controller_killed_at_any_moment_of_a_start_neither_loses_nor_doubles_it(
    processes: Processes, tmp_path: Path
) -> None:
    home, script = tmp_path / "home", "echo ran >> ran-$NAME"
    for number in range(8):
        name = f"step{number}"
        body = script.replace("$NAME", name)
        with controller(home, name, body) as killed:
            until(lambda name=name: (home / name).exists())  # type: ignore[misc]  # bound now
            time.sleep(0.001 * number)  # not a hope: each delay must do
            killed.kill()

        def ended(name: str = name, body: str = body) -> bool:
            processes.start(name, sh(tmp_path, body))
            return processes.status(name).state is ProcessState.ENDED

        until(ended)
        assert (tmp_path / f"ran-{name}").read_text() == "ran\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_costs_output_and_nothing_else(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        with Processes(small / "home") as processes:
            script = "head -c 1000000 /dev/zero; echo done > ../done; exit 4"
            where = sh(small, script.replace("../done", str(tmp_path / "done")))
            processes.start("step", where)
            ending = end(processes, "step")
            assert (ending.reason, ending.code) == (Reason.EXITED, 4)
            assert ending.detail == "output was lost: No space left on device"
            assert (tmp_path / "done").exists()
            with pytest.raises(OSError, match="No space left"):
                processes.start("next", where)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_damaged_ending_is_as_good_as_none(processes: Processes, tmp_path: Path) -> None:
    processes.start("step", sh(tmp_path, "exit 0"))
    end(processes, "step")
    (processes.log("step").parent / "exit.json").write_text("{")
    assert processes.status("step").state is ProcessState.LOST
    record = json.loads((processes.log("step").parent / "exit.json").read_text())
    assert record["reason"] == "lost"
