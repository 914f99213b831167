"""Listens to an SQS queue that S3 sends event notifications to."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import structlog

from controller.config.settings import ObjectStore
from controller.machine.core import Key
from controller.sources.s3_events import changed_objects
from specs.failures import Failure, NeedsHuman, TryAgain

WAIT = 20
"""Seconds for which SQS waits for a message before it answers; its maximum."""
BATCH = 10
"""Messages that are requested at once; SQS's maximum."""
MAX_WAIT = 300.0
"""Seconds between tries while a queue fails, at most."""

log = structlog.get_logger()
T = TypeVar("T")


class ReceivedMessage(NamedTuple):
    """A message, and the receipt to delete it with."""

    body: str
    receipt: str


class SqsQueue:
    """An SQS queue. Credentials come from boto3's chain. Blocking, for one thread at a time.

    Raises `TryAgain` while it does not answer, `NeedsHuman` if it refuses or boto3 is missing.
    """

    def __init__(self, url: str, region: str | None = None, *, wait: int = WAIT) -> None:
        self.url = url
        self._region = region
        self._wait = wait
        self._client: Any = None

    @property
    def name(self) -> str:
        """The queue's name, from its URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    def receive(self) -> Sequence[ReceivedMessage]:
        """Wait for messages. Those that are not deleted are delivered again."""
        said = self._call("receive_message", MaxNumberOfMessages=BATCH, WaitTimeSeconds=self._wait)
        return [
            ReceivedMessage(each["Body"], each["ReceiptHandle"])
            for each in said.get("Messages", ())
        ]

    def delete(self, received: Sequence[ReceivedMessage]) -> None:
        """Delete messages. One for which that fails is delivered again."""
        entries = [{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(received)]
        self._call("delete_message_batch", Entries=entries)

    def waiting(self) -> int:
        """About how many messages are waiting in the queue."""
        name = "ApproximateNumberOfMessages"
        said = self._call("get_queue_attributes", AttributeNames=[name])
        return int(said["Attributes"][name])

    def _call(self, operation: str, **options: Any) -> Any:
        try:
            from botocore.exceptions import BotoCoreError, ClientError
            from botocore.parsers import ResponseParserError
        except ImportError:
            raise NeedsHuman(
                f"boto3 is not installed, so Headgate cannot listen to {self.url}: install "
                "Headgate with its extra `aws`"
            ) from None
        try:
            self._client = self._client or self._opened()
            return getattr(self._client, operation)(QueueUrl=self.url, **options)
        except (BotoCoreError, ClientError, ResponseParserError, ValueError) as error:
            self._client = None  # the credentials may be renewed until the next try
            raise _failure_of(error, self.url) from None

    def _opened(self) -> Any:
        from boto3 import Session
        from botocore.config import Config

        parts = urlsplit(self.url)
        session = Session()
        found = re.search(r"(?:^|\.)sqs\.([a-z0-9-]+)\.", parts.hostname or "")
        return session.client(
            "sqs",
            endpoint_url=f"{parts.scheme}://{parts.netloc}",
            region_name=self._region or (found[1] if found else session.region_name or "us-east-1"),
            config=Config(
                connect_timeout=5,
                read_timeout=self._wait + 10,
                retries={"mode": "standard", "max_attempts": 2},
            ),
        )


def queues_of(settings: Sequence[ObjectStore]) -> Sequence[SqsQueue]:
    """The queues that the settings of object stores name, each once."""
    named = {each.events: each.region for each in settings if each.events}
    return [SqsQueue(url, region) for url, region in named.items()]


class QueueSource:
    """Hints at the pipelines that `pipelines_of` returns for an object, after calling `hint` with
    the object.

    A message is deleted once its hints are passed on. If the queue fails nothing is lost, as
    datasets are listed regularly anyway. `told` is called with the outcome of each request.
    """

    def __init__(
        self,
        queue: SqsQueue,
        hint: Callable[[str], None],
        pipelines_of: Callable[[str], Collection[Key]],
        told: Callable[[Failure | None], Awaitable[None]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._hint = hint
        self._pipelines_of = pipelines_of
        self._told = told
        self._sleep = sleep
        self._problem: str | None = None
        self._said_odd = False

    @property
    def problem(self) -> str | None:
        """Why it cannot listen, and the fix."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The keys of pipelines, as events come in."""
        failures = 0
        while True:
            try:
                received = await _in_thread(self._queue.receive)
                await self._say(None)
                failures = 0
                for key in self._read(received):
                    yield key
                if received:
                    await _in_thread(partial(self._queue.delete, received))
            except Exception as error:
                failures += 1
                await self._say(_explained(error))
                await self._sleep(min(2.0 ** min(failures, 10), MAX_WAIT))

    def _read(self, received: Sequence[ReceivedMessage]) -> Collection[Key]:
        found: dict[Key, None] = {}
        for each in received:
            try:
                changed = changed_objects(each.body)
            except ValueError as error:
                self._say_odd(str(error))
                continue
            for uri in changed:
                with suppress(NeedsHuman):  # the key is invalid, which the pipeline will report
                    self._hint(uri)
                found.update(dict.fromkeys(self._pipelines_of(uri)))
        return found

    def _say_odd(self, why: str) -> None:
        """Log it only once, as there may be many such messages."""
        if not self._said_odd:
            log.warning(
                "the queue has messages that are not event notifications of S3; they are deleted",
                queue=self._queue.url,
                reason=why,
            )
        self._said_odd = True

    async def _say(self, failure: Failure | None) -> None:
        """Log when listening begins to fail or to work again; report every outcome."""
        problem = str(failure) if failure else None
        if problem != self._problem:
            if problem:
                log.warning("the queue cannot be listened to", problem=problem)
            else:
                log.info("the queue can be listened to again", queue=self._queue.url)
        self._problem = problem
        await self._told(failure)


def _explained(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    log.exception("internal error while listening to a queue")
    return TryAgain(f"internal error ({type(error).__name__}); see Headgate's log")


async def _in_thread(call: Callable[[], T]) -> T:
    """Like `asyncio.to_thread`, but closing does not wait for the thread, as a pending request to
    SQS cannot be cancelled. Messages that it still returns are delivered again."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # present if there is no error

    def run() -> None:
        result, failed = None, None
        try:
            result = call()
        except Exception as error:
            failed = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name="sqs", daemon=True).start()
    return await done


_MISSING = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_UNKNOWN = (
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidSignatureException",
)


def _failure_of(error: Exception, url: str) -> Failure:
    """The failure for an error of boto3. Of an answer, it quotes only the error code."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    if isinstance(error, exceptions.ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        return _refused(code, status, url)
    network = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
        ResponseParserError,
    )
    if isinstance(error, network):
        return TryAgain(f"the queue {url} is unreachable; it is tried again")
    return NeedsHuman(
        f"Headgate cannot listen to the queue {url}: {error}. Correct the address in "
        "`stores.events`, or the AWS credentials"
    )


def _refused(code: str, status: int, url: str) -> Failure:
    if code in _MISSING:
        return NeedsHuman(f"there is no queue {url}: create it, or correct `stores.events`")
    if code in _EXPIRED:
        return NeedsHuman(f"the credentials for the queue {url} have expired; renew them")
    if code in _UNKNOWN:
        return NeedsHuman(f"the queue {url} rejected the credentials ({code}); correct them")
    if status >= 500 or status == 429 or "Throttl" in code:
        return TryAgain(f"the queue {url} is unavailable ({status} {code}); it is tried again")
    return NeedsHuman(
        f"the queue {url} refuses access ({status} {code}): allow these credentials "
        "sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes"
    )
