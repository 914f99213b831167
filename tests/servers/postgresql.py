"""A real PostgreSQL, where its programs are there: one server for a session, a database a test."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.store.addresses import PostgresAddress, parse_address
from tests.servers.programs import Program

PASSWORD = "a word & a half"  # it has to be quoted in an address
SECRETS = Secrets({"DB_PASSWORD": PASSWORD})
PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian keeps them, by version."""


class Postgresql(Program):
    """One server. It may be stopped and started again at the same address."""

    def __init__(self, home: Path, programs: Path) -> None:
        super().__init__(home)
        self.programs = programs
        self._own = home / "own"
        self._own.mkdir()
        self._data = self._own / "data"
        self._standby = self._own / "standby"
        self._databases = 0
        home.chmod(0o755)
        if os.geteuid() == 0:  # it refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(self._own, owner.pw_uid, owner.pw_gid)
        secret = home / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            "initdb", "-D", str(self._data), "-U", "ada", "--auth=scram-sha-256",
            f"--pwfile={secret}", "--no-sync", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip

    def up(self) -> None:
        """Start it, and wait until it lets somebody in."""
        self.run(
            "pg_ctl", "-D", str(self._data), "-w", "-t", "60", "-l", str(self._own / "log"), "-o",
            f"-p {self.port} -h 127.0.0.1 -k {self._own} -c fsync=off", "start",
        )  # fmt: skip

    def down(self) -> None:
        """Stop it, whoever is connected."""
        self.run("pg_ctl", "-D", str(self._data), "-w", "-m", "immediate", "stop")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes, such as to have them stand still."""
        read = f"read p < {self._data}/postmaster.pid; kill -{int(number)}"
        self.run("sh", "-c", f"{read} $p $(cat /proc/$p/task/$p/children)")

    def clear(self) -> None:
        """Delete what it wrote."""
        self.run("rm", "-rf", str(self._data), str(self._standby), str(self._own / "log"))

    def copy_to_standby(self) -> None:
        """Take a base backup, from which a standby can begin."""
        self.run("rm", "-rf", str(self._standby))
        at = f"host=127.0.0.1 port={self.port} user=ada password='{PASSWORD}'"
        self.run(
            "pg_basebackup", "-d", at, "-D", str(self._standby), "-X", "stream", "-c", "fast",
            "--no-sync",
        )  # fmt: skip
        self.run("touch", str(self._standby / "standby.signal"))

    def fail_over(self) -> None:
        """The server dies, and the standby takes over at its address: without what was committed
        since it was copied."""
        self.down()
        self._data, self._standby = self._standby, self._data
        self.up()
        self.run("pg_ctl", "-D", str(self._data), "-w", "promote")

    def run(self, program: str, *arguments: str) -> None:
        """One of its programs, as the user that it wants."""
        user: dict[str, str | Sequence[str]] = {}
        if os.geteuid() == 0:
            user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        done = subprocess.run(  # type: ignore[call-overload]  # of a mapping it knows no keys
            [path if (path := self.programs / program).exists() else program, *arguments],
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            close_fds=True,
            text=True,
            **user,
        )
        assert done.returncode == 0, done.stdout

    def address(self, database: str, password: str = PASSWORD) -> str:
        """Where a database is, as SQLAlchemy has it."""
        from sqlalchemy import URL

        made = URL.create(
            "postgresql",
            username="ada",
            password=password,
            host="127.0.0.1",
            port=self.port,
            database=database,
        )
        return made.render_as_string(hide_password=False)

    def database(self, copied: str = "") -> str:
        """The address of a new one; of a copy, if there is one to copy that nobody uses."""
        self._databases += 1
        name = f"shop{self._databases}"
        template = copied.rpartition("/")[2] or "template1"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.address(name)

    def state(self) -> PostgresAddress:
        """A new database for the state of a controller."""
        address = parse_address(self.setting(self.database()), SECRETS)
        assert isinstance(address, PostgresAddress)
        return address

    def setting(self, address: str) -> str:
        """The address of a database as `store` in the settings has it, with `SECRETS`."""
        name = address.rpartition("/")[2]
        return f"postgresql://ada:${{DB_PASSWORD}}@127.0.0.1:{self.port}/{name}"

    def execute(self, database: str, *statements: str) -> None:
        """Run statements, each of its own."""
        import psycopg

        name = database.rpartition("/")[2]
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="ada", password=PASSWORD, dbname=name,
            autocommit=True,
        ) as connection:  # fmt: skip
            for each in statements:
                connection.execute(each.encode())


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Postgresql]:
    """The server; skips where its programs are not installed."""
    found = sorted(PROGRAMS.glob("*/bin"), key=lambda path: int(path.parent.name))
    if not found or not (found[-1] / "initdb").exists():
        pytest.skip("no PostgreSQL: install postgresql (apt install postgresql)")
    home = Path(tempfile.mkdtemp(prefix="hgp-"))
    server = Postgresql(home, found[-1])
    server.up()
    try:
        yield server
    finally:
        server.down()
        server.clear()
        server.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def own_postgresql(postgresql_server: Postgresql) -> Iterator[Postgresql]:
    """A server of one test, which may stop it."""
    with tempfile.TemporaryDirectory(prefix="hgp-") as home:
        own = Postgresql(Path(home), postgresql_server.programs)
        own.up()
        try:
            yield own
        finally:
            with suppress(AssertionError):  # it may be down
                own.down()
            own.clear()
            own.close()


@pytest.fixture
def warehouse(postgresql_server: Postgresql) -> str:
    """The address of an empty database of a real PostgreSQL."""
    return postgresql_server.database()
