"""Logs: one line an event, with its key, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from controller.config import logs

TOKEN = 'ghp_"quoted"/wörd'


@pytest.fixture(autouse=True)
def former_set_up() -> Iterator[None]:
    """Put back what was there before."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail(token: str) -> None:
    """Raise with the secret in the message."""
    raise PermissionError(f"the token {token} may not push")


def lines(format_: logs.Format) -> str:
    """What is logged of a busy day."""
    out = io.StringIO()
    logs.set_up(format_, [TOKEN, "hunter2", "4711", ""], "INFO", out)
    log = structlog.get_logger("headgate.test")
    with bound_contextvars(key="run/flights-1", turn=7):
        log.info("cloning", url="https://x:hunter2@git.example/repo.git", depth=[{"t": TOKEN}])
        log.info("by accident", hunter2="as a name", pin=4711, other=4712, raw=TOKEN.encode())
        try:
            fail(TOKEN)
        except PermissionError:
            log.exception("could not push")
    log.debug("too small to be told")
    logging.getLogger("some.library").warning("retrying with %s", "hunter2")
    return out.getvalue()


def test_json_logs_are_a_line_an_event_with_its_key() -> None:
    events = [json.loads(line) for line in lines("json").splitlines()]
    assert [event["event"] for event in events] == [
        "cloning",
        "by accident",
        "could not push",
        "retrying with ***",
    ]
    assert (events[0]["key"], events[0]["turn"]) == ("run/flights-1", 7)
    assert (events[0]["level"], events[0]["logger"]) == ("info", "headgate.test")
    assert "PermissionError: the token *** may not push" in events[2]["exception"]
    assert "key" not in events[3]
    assert (events[1]["pin"], events[1]["other"]) == ("***", 4712)


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_secret_is_ever_written(format_: logs.Format) -> None:
    text = lines(format_)
    assert "could not push" in text
    assert text.count("***") >= 7
    for form in (TOKEN, "hunter2", "4711", "quoted", "wörd"):
        assert form not in text


def test_a_secret_that_begins_like_another_is_hidden_whole() -> None:
    assert logs.Redaction(["abc", "abcdef"]).text("abcdef abc") == "*** ***"


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.set_up(level="LOUD", stream=io.StringIO())
