"""Supervision of confined commands: results, limits and messages are as without confinement."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployers.confinement import Confinement, View, interpreter
from deployers.processes import Exit, Processes, ProcessSpec, ProcessState, Reason
from tests.deployers.world import PATH, living, until

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("namespaces")]


class Bench:
    """A home of processes, and a working folder of confined commands."""

    def __init__(self, root: Path, processes: Processes) -> None:
        self.root, self.processes = root, processes
        self.work = root / "work"
        self.work.mkdir()

    def start(self, *argv: str, environ: dict[str, str] | None = None, **bounds: object) -> None:
        view = View(self.work, interpreter(Path(sys.prefix)), (self.work,))
        within = Confinement((self.root / "home",), kind="namespace").within(view)
        environment = {"PATH": PATH, "TEST": str(self.root), **(environ or {})}
        spec = ProcessSpec(
            argv=argv,
            cwd=str(self.work),
            within=within,
            environment=environment,
            **bounds,  # type: ignore[arg-type]  # they are passed on
        )
        self.processes.start("step", spec)

    def end(self) -> Exit:
        until(
            lambda: self.processes.status("step").state in {ProcessState.ENDED, ProcessState.LOST}
        )
        ending = self.processes.status("step").exit
        assert ending is not None
        return ending

    def run(self, *argv: str, environ: dict[str, str] | None = None, **bounds: object) -> Exit:
        self.start(*argv, environ=environ, **bounds)
        return self.end()

    def said(self) -> str:
        return self.processes.tail("step")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """See `Bench`; at the end none of its processes may run."""
    with Processes(tmp_path / "home") as processes:
        yield Bench(tmp_path, processes)
        processes.stop("step", grace=0)
    until(lambda: not living(tmp_path))


def test_a_command_leaves_its_code_and_its_output(bench: Bench) -> None:
    ending = bench.run("sh", "-c", "echo out; echo err >&2; pwd; exit 3")
    assert (ending.reason, ending.code, ending.signal) == (Reason.EXITED, 3, None)
    assert bench.said() == f"out\nerr\n{bench.work}\n"
    assert ending.peak_bytes > 0


def test_a_command_that_is_ended_by_a_signal_says_by_which(bench: Bench) -> None:
    ending = bench.run("sh", "-c", "kill -SEGV $$")
    assert (ending.reason, ending.signal) == (Reason.SIGNALLED, signal.SIGSEGV)
    assert ending.detail == "was ended by SIGSEGV"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("no-such-command",), "cannot run 'no-such-command': No such file or directory; PATH is"),
        (("./script",), "the interpreter in its first line is missing"),
        (("./data",), "cannot run './data': Permission denied"),
        (("./folder",), "cannot run './folder': Permission denied"),
    ],
)
def test_a_command_that_cannot_start_says_why(
    bench: Bench, argv: tuple[str, ...], told: str
) -> None:
    (bench.work / "script").write_text("#!/no/such/interpreter\n")
    (bench.work / "script").chmod(0o755)
    (bench.work / "data").write_text("")
    (bench.work / "folder").mkdir()
    ending = bench.run(*argv)
    assert ending.reason is Reason.COULD_NOT_START
    assert told in ending.detail


def test_a_command_that_is_asked_to_end_cleans_up_and_its_own_code_is_known(bench: Bench) -> None:
    script = "trap 'echo cleaned; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    bench.start("sh", "-c", script)
    until(lambda: "ready" in bench.said())
    bench.processes.stop("step", grace=30)
    ending = bench.end()
    assert (ending.reason, ending.code) == (Reason.CANCELLED, 7)
    assert bench.said().endswith("cleaned\n")


def test_a_command_past_its_timeout_is_ended_with_all_its_children(bench: Bench) -> None:
    script = "sleep 1000 & setsid sleep 1000 & (sleep 1000 &) ; trap '' TERM; sleep 1000; sleep 1"
    ending = bench.run("sh", "-c", script, timeout=0.3, grace=0.2)
    assert ending.reason is Reason.TIMEOUT
    assert not [line for line in living(bench.root) if "sleep" in line]


def test_what_outlives_the_command_is_ended(bench: Bench) -> None:
    ending = bench.run("sh", "-c", "setsid sleep 1000 & exit 0")
    assert ending.succeeded
    assert not [line for line in living(bench.root) if "sleep" in line]


def test_nothing_outlives_a_supervisor_that_is_killed(bench: Bench) -> None:
    bench.start("sh", "-c", "echo ready; sleep 1000")
    until(lambda: "ready" in bench.said())
    (outer,) = (
        int(line.partition(":")[0])
        for line in living(bench.root)
        if "bwrap" in line and parent_is_no_bwrap(int(line.partition(":")[0]))
    )
    os.kill(parent(outer), signal.SIGKILL)
    assert bench.end().reason is Reason.LOST
    until(lambda: not [line for line in living(bench.root) if "sleep" in line])


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def parent_is_no_bwrap(pid: int) -> bool:
    return "bwrap" not in Path(f"/proc/{parent(pid)}/comm").read_text()


def test_its_memory_is_bounded_and_not_that_of_what_confines_it(bench: Bench) -> None:
    script = "import mmap; reserved = mmap.mmap(-1, 2**33); print('reserved', flush=True)\n"
    script += "held = bytearray(b'x') * 2**29; print('held')"
    python = str(Path(sys.prefix) / "bin" / "python")
    ending = bench.run(python, "-c", script, memory_bytes=256 * 2**20)
    assert ending.reason is Reason.OUT_OF_MEMORY
    assert bench.said() == "reserved\n"


def test_a_library_that_a_step_wants_loaded_is_not_loaded_into_what_confines_it(
    bench: Bench,
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = bench.work / "spy.c", bench.work / "spy.so"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        "__attribute__((constructor)) static void spy(void) {\n"
        '    FILE *told = fopen("told", "a"); char name[64] = "";\n'
        '    FILE *comm = fopen("/proc/self/comm", "r"); fgets(name, 64, comm);\n'
        "    if (told) { fputs(name, told); fclose(told); }\n}\n"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    assert bench.run("true", environ={"LD_PRELOAD": str(library)}).succeeded
    assert (bench.work / "told").read_text() == "true\n"


def test_its_variables_are_its_own(bench: Bench) -> None:
    os.environ["OF_THE_CONTROLLER"] = "hush"
    try:
        python = str(Path(sys.prefix) / "bin" / "python")
        show = "import json, os; print(json.dumps(dict(os.environ)))"
        bench.run(python, "-c", show, environ={"GLIBC_TUNABLES": "a=b", "KEY": "x y"})
    finally:
        del os.environ["OF_THE_CONTROLLER"]
    seen = json.loads(bench.said())
    assert seen.keys() - {"PWD", "LC_CTYPE"} == {
        *("PATH", "TEST", "HEADGATE_PROCESS", "GLIBC_TUNABLES", "KEY")
    }
    assert seen["KEY"] == "x y"
