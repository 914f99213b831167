"""Listens at an SQS queue that S3 sends its event notifications to."""

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
"""Seconds for which SQS holds a question until a message comes; the most that it does."""
AT_ONCE = 10
"""Messages that are asked for at once; the most that SQS gives."""
LONGEST_WAIT = 300.0
"""Seconds between two tries at a queue that fails, at most."""

log = structlog.get_logger()
T = TypeVar("T")


class Taken(NamedTuple):
    """A message, and by what it is deleted."""

    body: str
    receipt: str


class SqsQueue:
    """An SQS queue. Credentials are of boto3's chain. Blocking, for one thread at a time.

    Raises TryAgain while it does not answer, NeedsHuman where it refuses or boto3 is missing.
    """

    def __init__(self, url: str, region: str | None = None, *, wait: int = WAIT) -> None:
        self.url = url
        self._region = region
        self._wait = wait
        self._client: Any = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.url.rstrip("/").rpartition("/")[2]

    def take(self) -> Sequence[Taken]:
        """Wait for messages. Those that are not deleted come again."""
        said = self._call(
            "receive_message", MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=self._wait
        )
        return [Taken(each["Body"], each["ReceiptHandle"]) for each in said.get("Messages", ())]

    def delete(self, taken: Sequence[Taken]) -> None:
        """Be done with messages; one that is not deleted nevertheless comes again."""
        entries = [{"Id": str(n), "ReceiptHandle": each.receipt} for n, each in enumerate(taken)]
        self._call("delete_message_batch", Entries=entries)

    def waiting(self) -> int:
        """About how many messages nobody has taken."""
        name = "ApproximateNumberOfMessages"
        said = self._call("get_queue_attributes", AttributeNames=[name])
        return int(said["Attributes"][name])

    def _call(self, operation: str, **options: Any) -> Any:
        try:
            from botocore.exceptions import BotoCoreError, ClientError
            from botocore.parsers import ResponseParserError
        except ImportError:
            raise NeedsHuman(
                f"boto3 is not installed, so {self.url} is not listened to: install Headgate with "
                "its extra `aws`"
            ) from None
        try:
            self._client = self._client or self._opened()
            return getattr(self._client, operation)(QueueUrl=self.url, **options)
        except (BotoCoreError, ClientError, ResponseParserError, ValueError) as error:
            self._client = None  # perhaps the credentials are others by now
            raise _meant(error, self.url) from None

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
    """Each queue that the settings of the stores name, once."""
    named = {each.events: each.region for each in settings if each.events}
    return [SqsQueue(url, region) for url, region in named.items()]


class QueueSource:
    """Hints at the pipelines whose data an event concerns, as `concerned` knows them, after
    `hint` was told of the object.

    A message is deleted once it was handed on. Without the queue nothing is lost: datasets are
    listed nevertheless, later. `told` hears how each look at the queue ended.
    """

    def __init__(
        self,
        queue: SqsQueue,
        hint: Callable[[str], None],
        concerned: Callable[[str], Collection[Key]],
        told: Callable[[Failure | None], Awaitable[None]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._hint = hint
        self._concerned = concerned
        self._told = told
        self._sleep = sleep
        self._problem: str | None = None
        self._said_odd = False

    @property
    def problem(self) -> str | None:
        """Why it cannot listen, and the mend."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The keys of pipelines, as events come in."""
        failures = 0
        while True:
            try:
                taken = await _in_thread(self._queue.take)
                await self._say(None)
                failures = 0
                for key in self._read(taken):
                    yield key
                if taken:
                    await _in_thread(partial(self._queue.delete, taken))
            except Exception as error:
                failures += 1
                await self._say(_explained(error))
                await self._sleep(min(2.0 ** min(failures, 10), LONGEST_WAIT))

    def _read(self, taken: Sequence[Taken]) -> Collection[Key]:
        found: dict[Key, None] = {}
        for each in taken:
            try:
                changed = changed_objects(each.body)
            except ValueError as error:
                self._say_odd(str(error))
                continue
            for uri in changed:
                with suppress(NeedsHuman):  # no key that can be listed, as the pipeline will say
                    self._hint(uri)
                found.update(dict.fromkeys(self._concerned(uri)))
        return found

    def _say_odd(self, why: str) -> None:
        """Once: whoever sends the like may send many."""
        if not self._said_odd:
            log.warning(
                "the queue has messages that are no event notifications of S3; they are deleted",
                queue=self._queue.url,
                reason=why,
            )
        self._said_odd = True

    async def _say(self, failure: Failure | None) -> None:
        """Log a change for the worse or the better, not every look; tell of each."""
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
    log.exception("the queue cannot be listened to by a fault of Headgate's own")
    return TryAgain(f"a fault of Headgate's own ({type(error).__name__}); its log says where")


async def _in_thread(call: Callable[[], T]) -> T:
    """As `asyncio.to_thread`, but nobody waits for the thread at the end: a question that SQS
    holds for a while cannot be taken back, and what it brings then comes again."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # there is one where there is no error

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


def _meant(error: Exception, url: str) -> Failure:
    """A failure of boto3's as what somebody can do about it; nothing of an answer but its code."""
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
        return TryAgain(f"the queue {url} cannot be reached; it is tried again")
    return NeedsHuman(
        f"the queue {url} cannot be listened to: {error}. Correct the address in `stores.events`, "
        "or what AWS's chain of credentials finds"
    )


def _refused(code: str, status: int, url: str) -> Failure:
    if code in _MISSING:
        return NeedsHuman(f"there is no queue {url}: create it, or correct `stores.events`")
    if code in _EXPIRED:
        return NeedsHuman(f"the credentials for the queue {url} have expired; renew them")
    if code in _UNKNOWN:
        return NeedsHuman(f"the queue {url} rejected the credentials ({code}); set others")
    if status >= 500 or status == 429 or "Throttl" in code:
        return TryAgain(f"the queue {url} does not serve now ({status} {code}); it is tried again")
    return NeedsHuman(
        f"the queue {url} refuses ({status} {code}): allow sqs:ReceiveMessage, sqs:DeleteMessage "
        "and sqs:GetQueueAttributes to these credentials"
    )
