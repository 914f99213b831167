"""A real Prometheus, where its programs are there: one that scrapes what a test names."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.programs import Program

_CONFIG = """\
global: {{scrape_interval: {interval}, evaluation_interval: 1s}}
rule_files: {rules}
scrape_configs:
  - job_name: headgate
    metrics_path: {path}
    static_configs: [{{targets: ["127.0.0.1:{target}"]}}]
"""


class Prometheus(Program):
    """One server."""

    def run(self, target: int, *rules: Path, path: str = "/metrics", interval: str = "1s") -> None:
        """Start it with these rules, to scrape that port of this machine every second."""
        config = self._home / "prometheus.yaml"
        files = json.dumps([*map(str, rules)])
        text = _CONFIG.format(rules=files, target=target, path=path, interval=interval)
        config.write_text(text)
        self.start(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={self._home / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ]
        )

    def ask(self, what: str, **params: str) -> Any:
        """What its API answers; the error's text if it refuses."""
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=params, timeout=30)
        body = answer.json()
        assert body["status"] == "success", f"{params}: {body.get('error')}"
        return body["data"]

    def values(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The series that a query gives now, with their values."""
        found = self.ask("query", query=query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; skips the test where it is not."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}: install Debian's package prometheus")
    return path


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """A server that is not started yet."""
    program("prometheus")
    home = tmp_path / "prometheus"
    home.mkdir()
    server = Prometheus(home)
    yield server
    server.close()
