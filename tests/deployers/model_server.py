"""A small model server for tests: `python model_server.py MODEL PORT`.

Its model is a JSON file; what it says becomes the answer, or the misbehaviour.
"""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

MODEL = json.loads(Path(sys.argv[1]).read_text())
BESIDE = MODEL.get("beside", sys.argv[1])
"""The path beside which it tells the tests something, and is told."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path == "/healthz":
            while Path(f"{BESIDE}.busy").exists():
                time.sleep(0.01)
            ready = "wait_for" not in MODEL or Path(MODEL["wait_for"]).exists()
            self.answer(200 if ready else 503, b"")
            return
        time.sleep(float(query.get("sleep", 0)))
        if "hold" in query:
            self.hold()
        match url.path:
            case "/chunked":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for number in range(int(query.get("chunks", 3))):
                    self.wfile.write(b"5\r\npart%d\r\n" % (number % 10))
                    time.sleep(float(query.get("every", 0)))
                if "stall" in query:
                    self.hold()
                self.wfile.write(b"0\r\n\r\n")
            case "/until-closed":
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"all of it")
                self.close_connection = True
            case "/cut-off":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"half")
                self.close_connection = True
            case "/large":
                self.answer(200, b"x" * int(query["bytes"]))
            case "/babble":
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok and more")
            case "/page":
                self.answer(200, b"<p>page</p>", "Text/HTML; charset=utf-8")
            case "/die":
                os._exit(9)
            case _:
                status = int(query.get("status", 200))
                told = {
                    "model": MODEL["name"],
                    "pid": os.getpid(),
                    "caller_port": self.client_address[1],
                    "method": self.command,
                    "path": self.path,
                    "body": body.decode(errors="replace")[:100],
                    "size": len(body),
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
                self.answer(status, json.dumps(told).encode())

    do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815 - the library's names

    def hold(self) -> None:
        """Wait until the test lets it go."""
        Path(f"{BESIDE}.held").touch()
        while not Path(f"{BESIDE}.go").exists():
            time.sleep(0.01)

    def answer(self, status: int, body: bytes, content: str = "") -> None:
        self.send_response(status)
        if content:
            self.send_header("Content-Type", content)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if "dies" in MODEL:
    print("cannot load the model:", os.environ.get("TOKEN", ""), flush=True)
    sys.exit(MODEL["dies"])
HOST = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
Server((HOST, int(sys.argv[2])), Handler).serve_forever()
