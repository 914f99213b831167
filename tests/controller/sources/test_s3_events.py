"""What a message says of objects, in every shape that it comes in."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.sources.s3_events import changed_objects
from tests.servers.moto import s3_event

EVENT_BRIDGE: dict[str, Any] = {
    "version": "0",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "lake"}, "object": {"key": "a+b%20c.csv", "size": 5}},
}


def test_keys_of_s3s_own_notifications_are_unescaped() -> None:
    body = s3_event("lake", "a+dir%2Fx%2By+%C3%A9.csv")
    assert changed_objects(body) == ("s3://lake/a dir/x+y é.csv",)


def test_one_message_may_have_several_records() -> None:
    one, other = (json.loads(s3_event("lake", key))["Records"] for key in ("a", "b"))
    assert changed_objects(json.dumps({"Records": one + other})) == ("s3://lake/a", "s3://lake/b")


def test_keys_of_event_bridge_are_what_they_look_like() -> None:
    assert changed_objects(json.dumps(EVENT_BRIDGE)) == ("s3://lake/a+b%20c.csv",)


@pytest.mark.parametrize("body", [s3_event("lake", "a"), json.dumps(EVENT_BRIDGE)])
def test_sns_may_have_passed_it_on(body: str) -> None:
    wrapped = json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:1", "Message": body})
    assert changed_objects(wrapped) == changed_objects(body)


def test_a_test_event_is_of_no_object() -> None:
    body = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "lake"})
    assert changed_objects(body) == ()
    assert changed_objects(json.dumps({"Type": "Notification", "Message": body})) == ()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"Records": 1}',
        '{"Records": [{"eventSource": "aws:ses"}]}',
        '{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": 7}}}]}',
        '{"Records": [{"s3": {"bucket": {"name": null}, "object": {"key": "k"}}}]}',
        '{"Type": "Notification"}',
        '{"Type": "Notification", "Message": "hello"}',
        '{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://example.org"}',
        '{"source": "aws.s3", "detail": null}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_refused_with_a_reason(body: str) -> None:
    with pytest.raises(ValueError, match=r"it is not JSON|it lacks the bucket or key"):
        changed_objects(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda some: (
        st.lists(some)
        | st.dictionaries(
            st.sampled_from(["Records", "s3", "bucket", "object", "key", "name", "Type", "Message"])
            | st.text(),
            some,
        )
    ),
)


@given(JSON)
def test_whatever_comes_it_is_objects_or_refused(said: object) -> None:
    found: tuple[str, ...] = ()
    with suppress(ValueError):
        found = changed_objects(json.dumps(said))
    assert all(uri.startswith("s3://") for uri in found)
