"""Commands about the state as a whole, and all others over a state in PostgreSQL."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller.machine.core import Key
from controller.store.opening import open_store
from controller.store.protocol import Put, Transaction
from tests.controller.cli.conftest import Desk
from tests.servers.postgresql import PASSWORD, Postgresql


def put(n: int, revision: int = 0, *, live: bool = True) -> Put:
    """A run whose body says `n`."""
    return Put(key=Key("run", "flights-1"), revision=revision, text=f'{{"n": {n}}}', live=live)


def keeps_its_state_in(desk: Desk, store: str) -> None:
    """The settings name another store."""
    text = desk.settings.read_text()
    desk.settings.write_text(f"{text}store: '{store}'\nsecrets: secrets.env\n")
    secrets = desk.settings.parent / "secrets.env"
    secrets.write_text(f"DB_PASSWORD={PASSWORD}\n")
    secrets.chmod(0o600)


@pytest.mark.postgresql
def test_a_state_moves_to_postgresql_is_read_there_and_moves_back(
    desk: Desk, postgresql_server: Postgresql
) -> None:
    desk.keep(Transaction(put=put(7, live=False)))
    before = desk.settings.read_text()
    there = postgresql_server.setting(postgresql_server.database())
    (desk.settings.parent / "secrets.env").write_text(f"DB_PASSWORD={PASSWORD}\n")
    desk.settings.write_text(f"{before}secrets: secrets.env\n")
    moved = desk.do("store", "copy", there)
    assert moved.exit_code == 0, moved.output
    assert "Copied 1 objects, 0 actions, 0 messages (sha256:" in moved.output
    assert f"Set `store: {there}`" in moved.output

    desk.settings.write_text(before)
    keeps_its_state_in(desk, there)
    shutil.move(desk.home / "state.db", desk.home / "old.db")
    status = desk.do("status", "--json")
    assert status.exit_code == 0, status.output
    again = desk.do("store", "copy", there)
    assert again.exit_code == 1
    assert "is the store that the settings name" in again.output

    back = desk.do("store", "copy", str(desk.home / "state.db"))
    assert back.exit_code == 0, back.output
    assert "Delete `store` from the settings" in back.output
    assert moved.output.partition("(sha256:")[2][:64] == back.output.partition("(sha256:")[2][:64]
    assert PASSWORD not in moved.output + again.output + back.output + status.output


@pytest.mark.postgresql
def test_what_a_command_says_reaches_a_state_in_postgresql_and_doctor_reads_it(
    desk: Desk, postgresql_server: Postgresql
) -> None:
    keeps_its_state_in(desk, postgresql_server.setting(postgresql_server.database()))
    early = desk.do("status")
    assert early.exit_code == 3
    assert "none has yet" in early.output
    findings = {
        each["what"]: each["message"] for each in json.loads(desk.do("doctor", "--json").output)
    }
    assert "none has yet" in findings["state"]


def test_a_secret_that_is_not_set_and_a_password_in_the_settings_are_told(desk: Desk) -> None:
    text = desk.settings.read_text()
    desk.settings.write_text(f"{text}store: 'postgresql://a:${{NOBODY}}@localhost/x'\n")
    unknown = desk.do("status")
    assert unknown.exit_code == 3
    assert "the secret NOBODY is not set" in unknown.output
    for wrong in ("postgresql://a:word@localhost/x", "mysql://localhost/x", "postgresql://h"):
        desk.settings.write_text(f"{text}store: '{wrong}'\n")
        refused = desk.do("status")
        assert refused.exit_code == 1
        assert "expected postgresql://USER:${PASSWORD}@HOST/DATABASE" in " ".join(
            refused.output.split()
        )


def test_a_backup_is_restored_only_where_nothing_is_or_it_is_asked_to(desk: Desk) -> None:
    desk.keep(Transaction(put=put(7)))
    file = desk.home / "backup"
    saved = desk.do("backup", str(file))
    assert saved.exit_code == 0, saved.output
    assert "Saved 1 objects" in saved.output
    desk.keep(Transaction(put=put(8, 1)))
    refused = desk.do("restore", str(file))
    assert refused.exit_code == 1
    assert "`--replace` replaces what is there" in refused.output
    assert desk.do("restore", str(file), "--replace").exit_code == 0
    assert asyncio.run(revision(desk.home / "state.db")) == 1


async def revision(path: Path) -> int:
    store = await open_store(path)
    (record,) = await store.list("run")
    await store.close()
    return record.revision


def test_nothing_is_restored_or_copied_while_a_controller_runs(desk: Desk) -> None:
    desk.keep(Transaction(put=put(7)))
    assert desk.do("backup", str(desk.home / "backup")).exit_code == 0
    code = (
        "import sys\nfrom pathlib import Path\nfrom controller.wiring.home_lock import only_one\n"
        "with only_one(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(desk.home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    for words in (
        ("restore", str(desk.home / "backup"), "--replace"),
        ("store", "copy", str(desk.home / "other.db")),
    ):
        refused = desk.do(*words)
        assert refused.exit_code == 1
        assert "another controller runs" in refused.output
    holder.communicate()
