"""The one client of a cluster: a pace, retries, and errors with their fix.

lightkube reads the configuration and signs in. Requests and answers are plain JSON, read as bytes:
its own watches and logs cut lines at characters that are no line ends for Kubernetes.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from specs.failures import NeedsHuman, TryAgain

if TYPE_CHECKING:
    import httpx2

Manifest = dict[str, Any]
"""An object of the API, or a part of one, as JSON."""

TRIES: Final = 4
"""How often a call is made, if its failure may pass."""
PAUSE: Final = 0.25
"""Seconds before the second try; doubled with each."""
LONGEST_PAUSE: Final = 30.0
"""Seconds that a server may ask us to wait at once; longer, and the caller is told."""
CALL_TIMEOUT: Final = 30.0
STREAM_SILENCE: Final = 330.0
"""Seconds for which a watch may be silent: longer than one lasts."""
MANAGER: Final = "headgate"
"""The field manager of what is applied."""
_PAGE = 500
_PATHS: Final = {
    "deployments": "apis/apps/v1",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
    "jobs": "apis/batch/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "workloads": "apis/kueue.x-k8s.io/v1beta2",
    "inferenceservices": "apis/serving.kserve.io/v1beta1",
    "servingruntimes": "apis/serving.kserve.io/v1alpha1",
    "revisions": "apis/serving.knative.dev/v1",
    "trainjobs": "apis/trainer.kubeflow.org/v1alpha1",
    "trainingruntimes": "apis/trainer.kubeflow.org/v1alpha1",
}
_CORE = "api/v1"
_GIVEN_UP: Final = "the cluster's API server cannot be reached"


class ApiRefusal(Exception):  # noqa: N818 - it may be what is expected
    """The API server's refusal of a call."""

    def __init__(self, code: int, reason: str, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.after = code, reason, message, after


class UnknownKind(TryAgain):
    """The cluster does not know a kind of objects, or lacks the namespace to create one in."""


class Pace:
    """At most so many calls a second on the average, and always less than twice as many."""

    def __init__(self, calls: int) -> None:
        self._rate, self._most = float(calls), 0.9 * calls
        self._left, self._at = self._most, time.monotonic()

    async def keep(self) -> None:
        """Wait until one more call may be made."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)


@dataclass(frozen=True, kw_only=True)
class ClusterAccess:
    """Where a cluster's API server is, and how much it may be asked."""

    namespace: str
    kubeconfig: Path | None = None
    """None: the pod's own service account, else KUBECONFIG, else ~/.kube/config."""
    context: str | None = None
    """None: the current one."""
    calls: int = 50
    """The most calls a second on the average."""


class Cluster:
    """Calls of the API server of a cluster, in one namespace."""

    def __init__(self, access: ClusterAccess) -> None:
        self.namespace = access.namespace
        self._access = access
        self._pace = Pace(access.calls)
        self._opened: httpx2.AsyncClient | None = None
        self._permit: Callable[[], None] | None = None
        self._whole = self

    def permitted(self, permit: Callable[[], None]) -> "Cluster":
        """The same, for calls that `permit` is asked about: just before each, as a call may wait
        for its turn, or be made again. What that raises is passed on."""
        part = copy(self)
        part._permit = permit
        return part

    async def create(self, kind: str, obj: Manifest) -> Manifest:
        """Create it. Raises `ApiRefusal` with code 409 if there is one of that name."""
        return await self._json("POST", self._path(kind), content=obj)

    async def get(self, kind: str, name: str) -> Manifest | None:
        """One object; None if there is none of that name."""
        try:
            return await self._json("GET", f"{self._path(kind)}/{name}")
        except ApiRefusal as refusal:
            if refusal.code == 404:
                return None
            raise explained(refusal, f"read {kind}") from None

    async def patch(self, kind: str, name: str, change: Manifest) -> bool:
        """Merge a change into an object; whether it is there."""
        try:
            await self._json(
                "PATCH",
                f"{self._path(kind)}/{name}",
                content=change,
                content_type="application/merge-patch+json",
            )
        except ApiRefusal as refusal:
            if refusal.code == 404:
                return False
            raise explained(refusal, f"change {kind}") from None
        return True

    async def apply(self, kind: str, obj: Manifest) -> Manifest:
        """Make an object so, or create it: by server-side apply; what it is then."""
        try:
            return await self._json(
                "PATCH",
                f"{self._path(kind)}/{obj['metadata']['name']}",
                {"fieldManager": MANAGER, "force": "true"},
                obj,
                "application/apply-patch+yaml",
            )
        except ApiRefusal as refusal:
            raise explained(refusal, f"apply {kind}") from None

    async def delete(self, kind: str, name: str, **options: Any) -> None:
        """Delete it, unless it is gone. `options` are those of the API."""
        try:
            await self._json("DELETE", f"{self._path(kind)}/{name}", content=options)
        except ApiRefusal as refusal:
            if refusal.code not in (404, 409):  # 409: a `uid` that is another's
                raise explained(refusal, f"delete {kind}") from None

    async def list(self, kind: str, **query: str) -> tuple[list[Manifest], str]:
        """All objects that fit, and the version of the list."""
        items: list[Manifest] = []
        query = {**query, "limit": str(_PAGE)}
        while True:
            try:
                page = await self._json("GET", self._path(kind), query)
            except ApiRefusal as refusal:
                if refusal.code == 410 and "continue" in query:  # it took too long: from the start
                    items.clear()
                    del query["continue"]
                    continue
                raise explained(refusal, f"list {kind}") from None
            items += page.get("items") or []
            if not (token := page["metadata"].get("continue")):
                return items, str(page["metadata"].get("resourceVersion", ""))
            query["continue"] = token

    async def ask(
        self, method: str, path: str, content: Manifest | None = None, **query: str
    ) -> Manifest:
        """A call of any path of the API. Raises `ApiRefusal`, and what `_json` raises."""
        return await self._json(method, path, query, content)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a long answer, as they come. Raises `ApiRefusal`, and `TryAgain` if the
        connection fails."""
        await self._pace.keep()
        client = self._client()
        import httpx2

        quiet = httpx2.Timeout(CALL_TIMEOUT, read=STREAM_SILENCE)
        request = client.build_request(
            "GET", f"{_CORE}/namespaces/{self.namespace}/{path}", params=dict(query), timeout=quiet
        )
        try:
            answer = await client.send(request, stream=True)
        except Exception as error:
            raise _failure(error) from None
        try:
            try:
                if answer.status_code >= 400:
                    raise _refusal(answer.status_code, await answer.aread(), answer.headers)
                yield answer.aiter_raw()
            finally:
                await answer.aclose()
        except httpx2.HTTPError as error:  # any other is the reader's own
            raise _failure(error) from None

    async def close(self) -> None:
        """Close its connections."""
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = None

    def _path(self, kind: str) -> str:
        return f"{_PATHS.get(kind, _CORE)}/namespaces/{self.namespace}/{kind}"

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        """Make a call, again if its failure may pass. Raises `ApiRefusal`, `TryAgain` if the server
        cannot be reached, and `NeedsHuman` if there is no configuration."""
        client = self._client()
        body = None if content is None else json.dumps(content).encode()
        headers = {"Content-Type": content_type} if body else {}
        pause = PAUSE
        for turn in range(1, TRIES + 1):
            await self._pace.keep()
            if self._permit is not None:
                self._permit()
            try:
                answer = await client.request(
                    method, path, params=dict(query or {}), content=body, headers=headers
                )
                if answer.status_code < 400:
                    return dict(answer.json())
            except Exception as error:
                if turn == TRIES:
                    raise _failure(error) from None
            else:
                refusal = _refusal(answer.status_code, answer.content, answer.headers)
                wait = refusal.after or 0.0
                if not passes(refusal) or turn == TRIES or wait > LONGEST_PAUSE:
                    raise refusal
                pause = max(pause, wait)
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("the last try raises")

    def _client(self) -> "httpx2.AsyncClient":
        whole = self._whole
        if whole._opened is None:
            whole._opened = self._connect()
        return whole._opened

    def _connect(self) -> "httpx2.AsyncClient":
        try:
            import httpx2
            from lightkube.config.client_adapter import ConnectionParams
            from lightkube.config.kubeconfig import KubeConfig
            from lightkube.core.exceptions import ConfigError
        except ImportError:
            raise NeedsHuman(
                "Kubernetes needs lightkube: install Headgate with its extra `kubernetes`"
            ) from None
        named = self._access.kubeconfig
        try:
            loaded = KubeConfig.from_file(named) if named else KubeConfig.from_env()
            config = loaded.get(self._access.context)
        except Exception as error:  # whatever may be wrong with a file that a person wrote
            told = isinstance(error, ConfigError | OSError)
            why = f"{error}" if told else "the file is not a kubeconfig"
            raise NeedsHuman(
                f"no cluster is configured ({why}); set `kubernetes.kubeconfig` and "
                "`kubernetes.context` in headgate.yaml, or run where there is a service account"
            ) from None
        assert config is not None
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=50)
        given = ConnectionParams(timeout=httpx2.Timeout(CALL_TIMEOUT)).httpx_params(config)
        return httpx2.AsyncClient(**given, limits=limits)


def explained(refusal: ApiRefusal, what: str) -> TryAgain | NeedsHuman:
    """A refusal as a failure with its fix."""
    said = f"the cluster does not let Headgate {what}: {refusal.message}"
    if refusal.code == 401:
        return TryAgain(f"{said}; renew its credentials (`kubernetes.kubeconfig`)", human=True)
    if "admission webhook" in refusal.message and refusal.code < 500:
        return NeedsHuman(said)
    if refusal.code == 403 and "exceeded quota" in refusal.message:
        return TryAgain(f"waiting for the namespace's quota: {refusal.message}", after=15.0)
    if refusal.code == 403:
        fix = "allow it by a Role in the namespace: `headgate doctor` names the rule"
        return TryAgain(f"{said}; {fix}", human=True, after=30.0)
    if refusal.code == 404:
        return UnknownKind(
            f"{said}; create the namespace `kubernetes.namespace`", human=True, after=30.0
        )
    if passes(refusal) or refusal.code == 409:
        return TryAgain(f"{said}; it is tried again", after=refusal.after or 2.0)
    return NeedsHuman(said)


def passes(refusal: ApiRefusal) -> bool:
    """Whether a refusal may pass by itself. Then the call may have been carried out all the same,
    as when a proxy gives up waiting for the answer."""
    return refusal.code == 429 or refusal.code >= 500


def _refusal(code: int, content: bytes, headers: Mapping[str, str]) -> ApiRefusal:
    try:
        said = json.loads(content)
        reason, message = str(said.get("reason", "")), str(said.get("message", ""))
    except (ValueError, AttributeError):  # a group that is not installed, or a proxy's page
        reason, message = "", content[:200].decode(errors="replace").strip()
    try:
        after = float(headers.get("Retry-After", ""))
    except ValueError:
        after = None
    return ApiRefusal(code, reason, message[:1000] or f"HTTP status {code}", after)


def _failure(error: Exception) -> TryAgain:
    """Why a call came to nothing: the connection, the program that signs in, or an answer that is
    none of the API's, as a proxy's page. Whatever it was, the same call may succeed later."""
    import httpx2

    named = f"{error}" or type(error).__name__
    if isinstance(error, httpx2.HTTPError):
        return TryAgain(f"{_GIVEN_UP}: {named}", after=5.0)
    return TryAgain(
        f"{_GIVEN_UP} or signed in to ({type(error).__name__}: {named}); see to the program or "
        "the proxy that `kubernetes.kubeconfig` names",
        after=5.0,
        human=True,
    )
