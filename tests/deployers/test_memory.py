"""The memory limit of a command: of all its processes together, resident memory only."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployers import memory
from deployers import processes as module
from deployers.processes import Exit, Processes, Reason
from tests.deployers.test_processes import end, sh
from tests.deployers.world import until

MOST = 256 * 2**20
PYTHON = f"exec {sys.executable} -c"
HOLD = "held = bytearray(b'x') * {bytes}; print('held', flush=True)"

TOO_MUCH = HOLD.format(bytes=2**30)


def mark(processes: Processes) -> str:
    """The name that the step's control group is derived from."""
    return str((processes.log("step").parent / "started").readlink()).replace(":", ".")


def run(processes: Processes, folder: Path, script: str) -> Exit:
    processes.start("step", sh(folder, script, memory_bytes=MOST))
    return end(processes, "step")


@pytest.fixture(params=["as it is", "without control groups"])
def processes(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Processes]:
    """Supervised processes, on this machine and as on one without control groups."""
    if request.param == "without control groups":
        without = "from deployers import memory; memory._OWN = '/nowhere'"
        blind = module._ZYGOTE.replace("supervisor.main", f"{without}\nsupervisor.main")
        monkeypatch.setattr(module, "_ZYGOTE", blind)
    with Processes(tmp_path / "home") as made:
        yield made


def test_memory_that_is_reserved_and_not_used_does_not_count(
    processes: Processes, tmp_path: Path
) -> None:
    """Like a garbage collector: Node reserves gigabytes to use a few megabytes."""
    script = "import mmap; reserved = mmap.mmap(-1, 2**34); " + HOLD.format(bytes=2**25)
    ending = run(processes, tmp_path, f'{PYTHON} "{script}"')
    assert ending.succeeded
    assert processes.tail("step") == "held\n"


def test_a_command_that_holds_more_is_killed_and_the_ending_says_so(
    processes: Processes, tmp_path: Path
) -> None:
    ending = run(processes, tmp_path, f'{PYTHON} "{TOO_MUCH}"')
    assert ending.reason is Reason.OUT_OF_MEMORY
    assert processes.tail("step") == ""
    assert "256 MiB" in ending.detail


def test_what_its_processes_hold_counts_together(processes: Processes, tmp_path: Path) -> None:
    each = HOLD.format(bytes=2**27) + "; import time; time.sleep(600)"
    many = " & ".join([f'{sys.executable} -c "{each}"'] * 3)
    ending = run(processes, tmp_path, f"{many} & wait")
    assert ending.reason is Reason.OUT_OF_MEMORY


def test_what_processes_share_counts_once(processes: Processes, tmp_path: Path) -> None:
    """A table loaded by a parent and shared with its forked workers counts once."""
    script = (
        "import os, time\n"
        "table = bytearray(b'x') * (160 * 2**20)\n"
        "workers = [os.fork() for _ in range(2)]\n"
        "if 0 in workers:\n"
        "    time.sleep(1)\n"
        "else:\n"
        "    [os.waitpid(worker, 0) for worker in workers]\n"
    )
    (tmp_path / "train.py").write_text(script)
    assert run(processes, tmp_path, f"exec {sys.executable} train.py").succeeded


def test_files_that_are_read_do_not_count(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 2**29)
    script = (
        "import mmap; file = open('data', 'rb'); "
        "data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); "
        "print(sum(data[at] for at in range(0, len(data), 4096)))"
    )
    assert run(processes, tmp_path, f'{PYTHON} "{script}"').succeeded


def test_memory_that_an_allocator_has_given_back_does_not_count(
    processes: Processes, tmp_path: Path
) -> None:
    """By MADV_FREE, as jemalloc does: resident until the kernel reclaims it."""
    script = (
        "import mmap\n"
        "private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS\n"
        "piece = b'x' * 2**20\n"
        "for size, free in ((180, True), (150, False)):\n"
        "    memory = mmap.mmap(-1, size * 2**20, flags=private)\n"
        "    for _ in range(size):\n"
        "        memory.write(piece)\n"
        "    if free:\n"
        "        memory.madvise(mmap.MADV_FREE)\n"
        "        given_back = memory\n"
        "import time; time.sleep(0.5)\n"
    )
    (tmp_path / "train.py").write_text(script)
    ending = run(processes, tmp_path, f"exec {sys.executable} train.py")
    assert ending.succeeded, ending


def test_a_command_of_which_a_part_was_killed_has_not_succeeded(
    processes: Processes, tmp_path: Path
) -> None:
    """Like the first program of a pipe: the shell's exit code is that of the last one."""
    for _ in range(4):  # whether it ends before a check is up to chance
        ending = run(processes, tmp_path, f'{PYTHON.removeprefix("exec ")} "{TOO_MUCH}" | cat')
        assert ending.reason is Reason.OUT_OF_MEMORY
        assert not ending.succeeded
        processes.remove("step")


def test_a_killed_supervisor_leaves_no_control_group(processes: Processes, tmp_path: Path) -> None:
    """A killed process stays in the group until its memory is freed."""
    script = HOLD.format(bytes=2**30) + "; import time; time.sleep(600)"
    command = f'echo $$; exec {sys.executable} -c "{script}"'
    processes.start("step", sh(tmp_path, command, memory_bytes=2**31))
    until(lambda: "held" in processes.tail("step"))
    groups = [Path(place, f"headgate-{mark(processes)}") for place, _, _ in memory._places()]
    os.kill(memory.parent(processes.tail("step").split()[0]), 9)
    assert end(processes, "step").reason is Reason.LOST
    assert not any(group.exists() for group in groups)


def test_the_peak_is_that_of_all_its_processes(processes: Processes, tmp_path: Path) -> None:
    ending = run(processes, tmp_path, f'{PYTHON} "{HOLD.format(bytes=100 * 2**20)}"')
    assert ending.peak_bytes > 100 * 2**20


def test_children_of_every_thread_are_found() -> None:
    reader, writer = os.pipe()
    script = (
        "import subprocess, threading\n"
        "def begin():\n"
        "    subprocess.Popen(['sleep', '600']); print('begun', flush=True); sleep.wait()\n"
        "sleep = threading.Event()\n"
        "threading.Thread(target=begin).start()\n"
    )
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", script],
        dict(os.environ),
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    try:
        with os.fdopen(reader) as told:
            assert told.readline() == "begun\n"
        assert len(list(memory.descendants(pid))) == 1
    finally:
        for each in (*memory.descendants(pid), pid):
            os.kill(each, 9)
        os.waitpid(pid, 0)


def test_where_a_control_group_can_be_made_the_kernel_holds_it(tmp_path: Path) -> None:
    made = memory.group(f"test.{os.getpid()}", MOST)
    if made is None:
        pytest.skip("no memory control group can be made here")
    with made.entered():
        script = HOLD.format(bytes=2**30)
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", script], dict(os.environ))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -9
    assert "256 MiB" in made.exceeded()
    made.remove()
    assert memory.group(f"test.{os.getpid()}", MOST) is not None  # its name is free again
    memory.forget(f"test.{os.getpid()}")
