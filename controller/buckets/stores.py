"""Access to object stores by address, and the meaning of their errors.

Credentials come from each cloud's own chain: for AWS boto3's if it is installed (profiles, SSO,
roles), otherwise obstore's (environment, web identity, the machine's role); for Google and Azure
obstore's. Messages quote only the error code of a server's answer, as answers may contain secrets.
"""

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.buckets.protocol import ObjectChanged
from controller.config.settings import ObjectStore as Setting
from specs.failures import Failure, NeedsHuman, TryAgain

if TYPE_CHECKING:
    from obstore.store import AzureStore, ClientConfig, GCSStore, RetryConfig, S3Store

    Store = S3Store | GCSStore | AzureStore

SCHEMES = ("s3", "gs", "az")
RETRIES = 5
"""How often a request is repeated, with increasing pauses, before it raises `TryAgain`."""

_FIX = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run where there is a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and a key, a token or a managed identity",
}


class Address(NamedTuple):
    """The parts of an address such as `s3://lake/flights/2013`. Keys are literal, not escaped."""

    scheme: str
    bucket: str
    path: str

    @property
    def root(self) -> str:
        """The bucket's address, such as `s3://lake`."""
        return f"{self.scheme}://{self.bucket}"


def is_remote(uri: str) -> bool:
    """Whether the address is in an object store."""
    return uri.partition("://")[0] in SCHEMES and "://" in uri


def address_of(uri: str) -> Address:
    """Parse an address. Raises `NeedsHuman` if it is not in an object store."""
    scheme, _, rest = uri.partition("://")
    bucket, _, path = rest.partition("/")
    if not is_remote(uri) or not bucket:
        raise NeedsHuman(f"{uri} is not in an object store: write s3://, gs:// or az://BUCKET/...")
    if any(part in (".", "..") for part in path.split("/")) or "//" in path or path[:1] == "/":
        raise NeedsHuman(f"{uri} has empty parts, '.' or '..': write the path without them")
    return Address(scheme, bucket, path)


class Stores:
    """Opens object stores as configured, once per bucket. Thread-safe."""

    def __init__(self, settings: Sequence[Setting] = ()) -> None:
        self._settings = settings
        self._open: dict[tuple[str, Setting | None], Store] = {}
        self._lock = threading.Lock()

    def store(self, uri: str) -> "Store":
        """The store of the bucket that `uri` is in; keys are relative to the bucket's root.

        Raises `NeedsHuman` for missing credentials or an invalid address. Blocking.
        """
        address = address_of(uri)
        setting = self._setting(uri)
        with self._lock:
            known = self._open.get((address.root, setting))
            if known is None:
                with failing(address.root):
                    known = _opened(address, setting)
                self._open[address.root, setting] = known
        return known

    @contextmanager
    def failing(self, uri: str, key: str | None = None) -> Iterator[None]:
        """Turn errors of a request to the store into `Failure`s. After refused credentials, the
        store is opened again next time, as they may have been renewed."""
        try:
            with failing(uri, key):
                yield
        except CredentialsRefused:
            root = address_of(uri).root
            with self._lock:
                self._open = {at: store for at, store in self._open.items() if at[0] != root}
            raise

    def _setting(self, uri: str) -> Setting | None:
        fitting = [each for each in self._settings if is_within(uri, each.uri)]
        return max(fitting, key=lambda each: len(each.uri), default=None)


class CredentialsRefused(NeedsHuman):
    """The credentials are missing, invalid or lack permission."""


def is_within(uri: str, above: str) -> bool:
    """Whether `uri` is `above` or below it."""
    above = above.rstrip("/")
    return uri == above or uri.startswith(above + "/")


def _opened(address: Address, setting: Setting | None) -> "Store":
    from obstore.store import AzureStore, GCSStore, S3Store

    endpoint = setting.endpoint if setting else None
    reach: Any = {
        "client_options": _client(endpoint, address.scheme),
        "retry_config": _retry(),
    }
    if address.scheme == "gs":
        base: Any = {"base_url": endpoint} if endpoint else {}
        return GCSStore(address.bucket, **base, **reach)
    if address.scheme == "az":
        base = {"endpoint": endpoint} if endpoint else {}
        return AzureStore(address.bucket, **base, **reach)
    options: Any = {"virtual_hosted_style_request": False} if endpoint else {}
    options |= {"endpoint": endpoint} if endpoint else {}
    options |= {"region": setting.region} if setting and setting.region else {}
    if _is_true("AWS_SKIP_SIGNATURE") or find_spec("boto3") is None:
        return S3Store(address.bucket, **options, **reach)
    return S3Store(address.bucket, credential_provider=_by_boto3(address), **options, **reach)


def _by_boto3(address: Address) -> Any:
    from boto3 import Session
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(Session())
    except (ValueError, BotoCoreError) as error:
        # A missing profile or an expired SSO session: the message names it and has no secret.
        why = "no credentials" if isinstance(error, ValueError) else str(error)
        raise CredentialsRefused(f"{address.root} cannot be opened: {why}; {_FIX['s3']}") from None


def _client(endpoint: str | None, scheme: str) -> "ClientConfig":
    names = {"s3": "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL AWS_ENDPOINT", "gs": "GOOGLE_BASE_URL"}
    names["az"] = "AZURE_STORAGE_ENDPOINT AZURE_ENDPOINT"
    given = [endpoint, *(os.environ.get(name) for name in names[scheme].split())]
    return {
        # Only if an endpoint is explicitly http://.
        "allow_http": next((one for one in given if one), "").startswith("http://"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(hours=6),  # for a whole object; a stall hits `read_timeout` first
    }


def _retry() -> "RetryConfig":
    pause = timedelta(milliseconds=100)
    return {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=60),
        "backoff": {"init_backoff": pause, "max_backoff": timedelta(seconds=5), "base": 2},
    }


def _is_true(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in ("1", "true", "yes", "on")


@contextmanager
def failing(uri: str, key: str | None = None) -> Iterator[None]:
    """Turn obstore's errors of a request for `uri`, or for `key` in its bucket, into `Failure`s."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise _failure_of(error, uri, key) from None


def _failure_of(error: Exception, uri: str, key: str | None) -> Failure:
    from obstore.exceptions import InvalidPathError, PreconditionError

    said = str(error)
    what = f"{address_of(uri).root}/{key}" if key is not None else uri
    code = _code(said)
    if code in NO_BUCKET or (isinstance(error, FileNotFoundError) and key is None):
        return NeedsHuman(f"{what} cannot be listed: there is no such bucket; create it, or correct"
                          " the address")  # fmt: skip
    if isinstance(error, FileNotFoundError):
        return ObjectChanged(f"{what} was deleted after it was listed: list again")
    if isinstance(error, PreconditionError):
        return ObjectChanged(f"{what} was changed after it was listed: list again")
    if isinstance(error, InvalidPathError | ValueError):
        return NeedsHuman(_odd_key(said, what))
    return _refused(code, said, what, address_of(uri).scheme)


NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
"""Error codes for a bucket that does not exist."""
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint")


def _refused(code: str, said: str, what: str, scheme: str) -> Failure:
    status = _status(said)
    named = f" ({' '.join(part for part in (status, code) if part)})" if status or code else ""
    if code in _CLOCK:
        return NeedsHuman(
            f"{what} refused the request{named}: this machine's clock is wrong; set it"
        )
    if code in _EXPIRED:
        return CredentialsRefused(f"{what}: the credentials have expired{named}; renew them")
    if code in _ELSEWHERE or "redirect without LOCATION" in said:
        return NeedsHuman(f"{what} is in another region{named}; set `region` in `stores`")
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch") or status == "401":
        return CredentialsRefused(f"{what} rejected the credentials{named}; {_FIX[scheme]}")
    if status == "403":
        return CredentialsRefused(
            f"{what} may not be read{named}: allow these credentials to list the bucket and to "
            "read its objects"
        )
    if "No CA certificates" in said:
        return NeedsHuman(
            f"{what} cannot be opened: this machine or image has no CA certificates, without which "
            "no store is, not even over http; install `ca-certificates`, or set SSL_CERT_FILE"
        )
    if "169.254.169.254" in said or "metadata.google.internal" in said:
        return CredentialsRefused(f"{what} cannot be reached without credentials; {_FIX[scheme]}")
    if status == "429" or code in ("SlowDown", "ServerBusy", "TooManyRequests"):
        return TryAgain(f"{what} limits the rate of requests{named}; it is tried again", after=10.0)
    if status.startswith("4"):
        return NeedsHuman(f"{what} refused the request{named}: check `stores` in the settings")
    if status:
        return TryAgain(f"{what} had a server error{named}; it is tried again")
    return TryAgain(
        f"{what} cannot be reached: check that its server is up, and `endpoint` in `stores`"
    )


def _code(said: str) -> str:
    found = re.search(r"<Code>(\w{1,60})</Code>", said)
    return found[1] if found else ""


def _status(said: str) -> str:
    found = re.search(r"status code: (\d{3})", said)
    return found[1] if found else ""


def _odd_key(said: str, what: str) -> str:
    found = re.search(r'[Pp]ath "((?:[^"\\]|\\.){1,200})"', said)
    return odd_key(what, found[1] if found else "")


def odd_key(what: str, key: str) -> str:
    """A message that an object in `what` cannot be read because of its key; empty: unknown key."""
    named = f" {key!r}" if key else ""
    return (
        f"{what} has an object{named} whose key is not a valid path (an empty part, '.', '..' or a "
        "control character): rename it, or move it out of the dataset's folder"
    )
