"""moto's server: S3 and SQS over HTTP, in this process. Its state outlives a stop."""

import json
import math
import uuid
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.ports import reserved_port

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
"""The variables with its credentials; it takes any."""


def demand_credentials() -> None:
    """From now on every server here refuses credentials that nobody made there, as ours."""
    _set_auth(0)


def take_any_credentials() -> None:
    """They are given back."""
    _set_auth(math.inf)


def _set_auth(after: float) -> None:
    """What POST /moto-api/reset-auth does."""
    from moto import settings
    from moto.core.authorization import ActionAuthenticatorMixin

    settings.INITIAL_NO_AUTH_ACTION_COUNT = after
    ActionAuthenticatorMixin.request_count = 0


def date_object(bucket: str, key: str, written: datetime) -> None:
    """Have an object of any server here written at another time (UTC, without a zone)."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys[key].last_modified = written


def s3_event(bucket: str, key: str) -> str:
    """What S3 sends of an object; `key` as it stands there, escaped."""
    about = {"bucket": {"name": bucket}, "object": {"key": key, "size": 1}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": about}
    return json.dumps({"Records": [record]})


class Moto:
    """One server, which may be stopped and started again at the same address. It answers at
    `host`, an address of this machine."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._server: ThreadedMotoServer | None = None
        self._held = ExitStack()
        self._port = self._held.enter_context(reserved_port())
        self.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self._host}:{self._port}"

    def start(self) -> None:
        """Answer."""
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(self._host, port=self._port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._held.close()

    def client(self, service: str) -> Any:
        """boto3's client of a service there."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=KEY["AWS_REGION"],
            aws_access_key_id=KEY["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEY["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self, *, versioned: bool = False) -> str:
        """The name of a new bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.client("s3")
        client.create_bucket(Bucket=name)
        if versioned:
            status = {"Status": "Enabled"}
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration=status)
        return name

    def queue(self, *buckets: str) -> str:
        """The URL of a new queue, at which these buckets tell of what becomes of their objects."""
        sqs = self.client("sqs")
        url = str(sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:12]}")["QueueUrl"])
        about = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        arn = about["Attributes"]["QueueArn"]
        events = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
        for bucket in buckets:
            self.client("s3").put_bucket_notification_configuration(
                Bucket=bucket,
                NotificationConfiguration={
                    "QueueConfigurations": [{"QueueArn": arn, "Events": events}]
                },
            )
        return url
