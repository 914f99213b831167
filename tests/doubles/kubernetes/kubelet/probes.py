"""Probes of containers: by HTTP, by connection, by command."""

import http.client
import socket

from tests.doubles.kubernetes.base.objects import Obj


def probe_error(probe: Obj, container: Obj, address: str) -> str | None:
    """Why the probe fails, as events tell it; None if it succeeds."""
    timeout = float(probe.get("timeoutSeconds", 1))
    if "httpGet" in probe:
        get = probe["httpGet"]
        return _http(get.get("host") or address, port_of(get["port"], container), get, timeout)
    if "tcpSocket" in probe:
        port = port_of(probe["tcpSocket"]["port"], container)
        try:
            socket.create_connection((address, port), timeout).close()
        except OSError as error:
            return f"dial tcp {address}:{port}: {error}"
        return None
    return "the double has only httpGet and tcpSocket probes"


def _http(host: str, port: int, get: Obj, timeout: float) -> str | None:
    url = f"http://{host}:{port}{get['path']}"
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    headers = {each["name"]: each["value"] for each in get.get("httpHeaders", ())}
    try:
        connection.request("GET", get["path"], headers={"User-Agent": "kube-probe/1.37", **headers})
        status = connection.getresponse().status
    except TimeoutError:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded)'
    except (OSError, http.client.HTTPException) as error:
        return f'Get "{url}": dial tcp {host}:{port}: connect: {getattr(error, "strerror", error)}'
    finally:
        connection.close()
    return None if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


def port_of(port: int | str, container: Obj) -> int:
    """The number of a port that may be named."""
    if isinstance(port, str) and not port.isdigit():
        return next(
            int(each["containerPort"])
            for each in container.get("ports", ())
            if each.get("name") == port
        )
    return int(port)
