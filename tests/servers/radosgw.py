"""Ceph's S3 gateway with a cluster of its own, in memory: a monitor, a store and the gateway.

Debian's packages: ceph-mon, ceph-osd, ceph-common, radosgw. It keeps objects, versions and users as
Ceph does in production; all is gone at its end.
"""

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.ports import reserved_port

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
PACKAGES = "ceph-mon ceph-osd ceph-common radosgw"
START = 90.0
"""Seconds in which each part answers, or is given up."""
USER = "headgate"
REGION = "us-east-1"

CONF = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon}/0
ms bind msgr1 = false
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
mon data = {home}/mon
osd data = {home}/osd
run dir = {home}
log file = {home}/$name.log
pid file = {home}/$name.pid
admin socket = {home}/$name.asok
keyring = {home}/keyring
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
rgw data = {home}/rgw
rgw enable usage log = false
rgw frontends = beast endpoint=127.0.0.1:{port}
"""


def missing() -> list[str]:
    """The programs that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Radosgw:
    """One gateway, which may be killed and started again at the same address; `home` is empty."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._conf = home / "ceph.conf"
        self._held = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        mon, self._port = (self._held.enter_context(reserved_port()) for _ in range(2))
        fsid = str(uuid.uuid4())
        self._conf.write_text(CONF.format(fsid=fsid, mon=mon, home=home, port=self._port))
        self.key: dict[str, str] = {}
        """The variables with its credentials."""
        try:
            self._begin(fsid, mon)
        except BaseException:
            self.close()
            raise

    def _begin(self, fsid: str, mon: int) -> None:
        for name in ("mon", "osd", "rgw"):
            (self._home / name).mkdir()
        (self._home / "keyring").touch()
        monmap = str(self._home / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a",
                  f"[v2:127.0.0.1:{mon}/0]", monmap)  # fmt: skip
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap)
        self._start("ceph-mon", "-i", "a")
        self._run("ceph", "osd", "create")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()))
        self._start("ceph-osd", "-i", "0")
        self.start()
        user = json.loads(self._admin("user", "create", "--uid", USER, "--display-name", USER))
        self.key = _variables(user["keys"][0])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer, also again."""
        if "radosgw" in self._running and self._running["radosgw"].poll() is None:
            return
        self._start("radosgw", "-n", "client.rgw")
        deadline = time.monotonic() + START
        while not self._answers():
            assert self._running["radosgw"].poll() is None, self._log()
            assert time.monotonic() < deadline, self._log()
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill the gateway, as a fault would."""
        self._running["radosgw"].kill()
        self._running["radosgw"].wait()

    def close(self) -> None:
        """End everything that was started."""
        for each in self._running.values():
            each.kill()
            each.wait()
        self._held.close()

    def renew_key(self) -> None:
        """Take the user's key away and give another."""
        old = self.key["AWS_ACCESS_KEY_ID"]
        self._admin("key", "rm", "--uid", USER, "--key-type", "s3", "--access-key", old)
        made = self._admin("key", "create", "--uid", USER, "--key-type", "s3",
                           "--gen-access-key", "--gen-secret")  # fmt: skip
        self.key = _variables(json.loads(made)["keys"][0])

    def stranger(self) -> dict[str, str]:
        """The credentials of another user."""
        made = self._admin("user", "create", "--uid", uuid.uuid4().hex, "--display-name", "other")
        return _variables(json.loads(made)["keys"][0])

    def client(self, service: str = "s3") -> Any:
        """boto3's client there."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self.key["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.key["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self, *, versioned: bool = False) -> str:
        """The name of a new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.client()
        client.create_bucket(Bucket=name)
        if versioned:
            status = {"Status": "Enabled"}
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)
        return name

    def _answers(self) -> bool:
        with socket.socket() as asking:
            asking.settimeout(1)
            return asking.connect_ex(("127.0.0.1", self._port)) == 0

    def _admin(self, *arguments: str) -> str:
        return self._run("radosgw-admin", "-n", "client.rgw", *arguments)

    def _run(self, *command: str) -> str:
        program, *rest = command
        done = subprocess.run(
            [program, "-c", self._conf, *rest] if program != "monmaptool" else command,
            capture_output=True, text=True, timeout=START, check=False, cwd=self._home,
        )  # fmt: skip
        assert done.returncode == 0, f"{program} {rest}: {done.stderr}"
        return done.stdout

    def _start(self, program: str, *arguments: str) -> None:
        with (self._home / "out.log").open("ab") as out:
            self._running[program] = subprocess.Popen(
                [program, "-f", "-c", self._conf, *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "CEPH_CONF": str(self._conf)},
            )  # fmt: skip

    def _log(self) -> str:
        return (self._home / "out.log").read_text(errors="replace")[-2000:]


def _variables(key: dict[str, str]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": key["access_key"],
        "AWS_SECRET_ACCESS_KEY": key["secret_key"],
        "AWS_REGION": REGION,
    }
