"""Real remotes for tests: bare repositories, a person's clone, and git over authenticated HTTP."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_PLAIN = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """git as a person runs it; what it printed, stripped."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        env=os.environ | _PLAIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


class Person:
    """Somebody with a clone of a bare remote, who commits and pushes."""

    def __init__(self, folder: Path) -> None:
        self.remote = folder / "remote.git"
        self.clone = folder / "clone"
        folder.mkdir(parents=True, exist_ok=True)
        run_git(folder, "init", "-q", "--bare", "-b", "main", str(self.remote))
        run_git(folder, "init", "-q", "-b", "main", str(self.clone))
        run_git(self.clone, "remote", "add", "origin", str(self.remote))

    def push(
        self, files: Mapping[str, str | None], message: str = "Change", branch: str = "main"
    ) -> str:
        """Commit `files`, None for one that goes, on top of what the clone has checked out, and
        push; the new commit."""
        for path, text in files.items():
            target = self.clone / path
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        run_git(self.clone, "add", "-A")
        run_git(self.clone, "commit", "-q", "--allow-empty", "-m", message)
        run_git(self.clone, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return run_git(self.clone, "rev-parse", "HEAD")

    def head(self, branch: str) -> str:
        return run_git(self.remote, "rev-parse", f"refs/heads/{branch}")


@contextmanager
def serve_git(root: Path, user: str, password: str) -> Iterator[str]:
    """The repositories below `root` over HTTP; yields `127.0.0.1:PORT`. One user may do all."""
    wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            variables = {
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REMOTE_USER": user,
                "REQUEST_METHOD": self.command,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                env=os.environ | _PLAIN | variables,
                check=False,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().splitlines()]
            status = next((value for name, value in fields if name == "Status"), "200")
            self.send_response(int(status.split()[0]))
            for name, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
