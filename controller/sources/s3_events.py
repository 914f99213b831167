"""PURE. Parses event notifications about objects in S3, in each form in which they are sent."""

import json
from typing import Any
from urllib.parse import unquote_plus


def changed_objects(body: str) -> tuple[str, ...]:
    """The objects that were created or deleted, as `s3://BUCKET/KEY`; none for a test event.

    Accepts S3's own notifications
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html),
    also wrapped by SNS, and events of EventBridge
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html).
    Raises `ValueError`, with the reason, for anything else.
    """
    try:
        said = json.loads(body)
        if isinstance(said, dict) and said.get("Type") == "Notification":
            said = json.loads(said["Message"])
        return _objects(said)
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("it lacks the bucket or key of an object") from None
    except json.JSONDecodeError:
        raise ValueError("it is not JSON") from None


def _objects(said: Any) -> tuple[str, ...]:
    if said.get("Event") == "s3:TestEvent":
        return ()
    if said.get("source") == "aws.s3":
        detail = said["detail"]
        return (_uri(detail["bucket"]["name"], detail["object"]["key"]),)
    found = [record["s3"] for record in said["Records"]]
    # Keys are form-encoded in S3's own notifications, but not in EventBridge's.
    return tuple(_uri(s3["bucket"]["name"], unquote_plus(s3["object"]["key"])) for s3 in found)


def _uri(bucket: str, key: str) -> str:
    if not isinstance(bucket, str) or not isinstance(key, str):
        raise TypeError
    return f"s3://{bucket}/{key}"
