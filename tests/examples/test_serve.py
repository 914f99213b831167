"""The flight-delay server as a client meets it: real processes, real sockets."""

import json
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pytest

from tests.examples.helpers import FOLDER, MARCH, Running, serving, start, until

SMOKE = json.loads((FOLDER / "smoke" / "request.json").read_text())


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Running]:
    with serving(model) as running:
        yield running


def test_one_flight_is_answered_with_its_probability(server: Running) -> None:
    status, answer = server.ask("POST", "/predict", SMOKE)
    assert status == 200
    (prediction,) = answer["predictions"]
    assert prediction["flight_id"] == SMOKE["flight_id"]
    assert 0 < prediction["p_late"] < 1
    assert prediction["late"] == (prediction["p_late"] >= 0.5)


def test_the_server_answers_what_evaluation_computed(
    server: Running, model: Path, flights: ModuleType, load: ModuleType
) -> None:
    stored = joblib.load(model)
    rows = flights.features(flights.columns_of(flights.read(MARCH)), stored["ranks"])
    expected = stored["classifier"].predict_proba(rows)[:, 1]
    status, answer = server.ask("POST", "/predict", load.requests(MARCH))
    assert status == 200
    np.testing.assert_allclose([p["p_late"] for p in answer["predictions"]], expected)


def test_missing_weather_and_unknown_places_are_no_error(server: Running) -> None:
    flight = {key: value for key, value in SMOKE.items() if key not in ("temp", "precip")}
    status, _ = server.ask("POST", "/predict", flight | {"dest": "XYZ", "visib": None})
    assert status == 200


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'"\xff"', "not JSON"),
        (b'{"distance": NaN}', "NaN"),
        ([], "1 to 1000"),
        ([SMOKE, 7], "flight 1 is not an object"),
        ({}, "year must be a number; it is missing"),
        (SMOKE | {"carrier": 7}, "carrier must be a string; it is 7"),
        (SMOKE | {"distance": "far"}, 'distance must be a number; it is "far"'),
        (SMOKE | {"distance": True}, "distance must be a number"),
        (SMOKE | {"distance": 10**400}, "distance must be a number below 1e9"),
        (SMOKE | {"month": 13}, "month must be between 1 and 12"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(server: Running, body: object, complaint: str) -> None:
    status, answer = server.ask("POST", "/predict", body)
    assert status == 400
    assert complaint in answer["error"]


def test_an_unknown_path_and_a_huge_body_are_refused(server: Running) -> None:
    assert server.ask("GET", "/metrics")[0] == 404
    assert server.ask("POST", "/other", SMOKE)[0] == 404
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")
        assert b" 413 " in connection.recv(4096)


def test_a_connection_is_kept_after_answers_good_and_bad(server: Running) -> None:
    connection = server.connect()
    connection.connect()
    kept = connection.sock
    for body, status in ((json.dumps(SMOKE), 200), ("{", 400), (json.dumps(SMOKE), 200)):
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert connection.sock is kept
    connection.close()


def test_replayed_flights_are_all_answered_while_requests_overlap(
    server: Running, load: ModuleType
) -> None:
    answers = load.replay(server.url, load.requests(MARCH), rate=150, seconds=2, workers=6)
    assert Counter(answer.status for answer in answers) == {200: 300}
    assert len({answer.model for answer in answers}) == 1
    assert all(answer.latency > 0 for answer in answers)


def test_a_replay_records_what_was_not_answered_and_can_be_stopped(load: ModuleType) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answers = load.replay(f"http://127.0.0.1:{port}/predict", [SMOKE], rate=50, seconds=0.1)
    assert [answer.status for answer in answers] == [0] * 5
    stop = threading.Event()
    stop.set()
    assert load.replay(f"http://127.0.0.1:{port}/", [SMOKE], 1, 3600, stop=stop) == []


def test_the_server_says_503_until_its_model_is_loaded(model: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "model.joblib"  # reading it lasts until something is written
    subprocess.run(["mkfifo", pipe], check=True)
    with serving(pipe, ready=False) as running:
        status, answer = running.ask("GET", "/healthz")
        assert (status, answer["status"]) == (503, "loading the model")
        assert running.ask("POST", "/predict", SMOKE)[0] == 503
        pipe.write_bytes(model.read_bytes())
        until(lambda: running.ask("GET", "/healthz")[0] == 200)
        assert running.ask("POST", "/predict", SMOKE)[0] == 200


def test_a_file_that_is_no_model_ends_the_server_with_a_reason(tmp_path: Path) -> None:
    wrong = tmp_path / "model.joblib"
    wrong.write_bytes(b"not a model")
    done = start("serve.py", "--model", wrong, "--port", "0")
    assert done.returncode == 1
    assert "not a model this server can use" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_answers_what_was_asked_and_then_ends(model: Path) -> None:
    with serving(model) as running:
        idle = running.connect()
        idle.connect()
        body = json.dumps(SMOKE).encode()
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as slow:
            head = f"POST /predict HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:20])
            until(lambda: running.ask("GET", "/healthz")[0] == 200)  # it has read the head by now
            running.terminate()
            until(lambda: not _listens(running.port))
            slow.sendall(body[20:])
            answer = b"".join(iter(lambda: slow.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"Connection: close" in answer
        assert running.process.wait(timeout=20) == 0
        idle.close()


def test_the_faulty_variant_passes_smoke_and_fails_under_load(
    model: Path, load: ModuleType, tmp_path: Path
) -> None:
    for name in ("serve.py", "flights.py"):
        shutil.copy(FOLDER / name, tmp_path)
    patch = FOLDER / "variants" / "fails-under-load.patch"
    subprocess.run(["git", "apply", patch], cwd=tmp_path, check=True)
    with serving(model, folder=tmp_path) as running:
        assert running.ask("POST", "/predict", SMOKE)[0] == 200
        answers = load.replay(running.url, load.requests(MARCH), rate=200, seconds=3, workers=4)
        statuses = Counter(answer.status for answer in answers)
        assert set(statuses) == {200, 500}
        assert 0.1 < statuses[500] / len(answers) < 0.4


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True
