"""`headgate down` while a controller runs, and where nothing is left."""

import subprocess
import sys

from controller.store.protocol import Transaction
from tests.controller.cli.conftest import Desk

HOLD = """\
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_refused_while_a_controller_runs_and_says_what_to_do(desk: Desk) -> None:
    desk.keep(Transaction())
    argv = [sys.executable, "-c", HOLD, str(desk.home / "controller.lock")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"held\n"
        said = desk.do("down")
        controller.communicate()
    assert said.exit_code == 1
    assert f"a controller is running (process {controller.pid})" in said.output
    assert "stop it first" in said.output


def test_where_nothing_is_left_it_says_so_and_all_is_well(desk: Desk) -> None:
    desk.keep(Transaction())
    said = desk.do("down")
    assert (said.exit_code, said.output) == (0, "No model server is running here.\n")
    assert desk.do("down", "--json").output == "[]\n"
