"""Serves the mean, well or badly: `KIND` says how. Requests of the smoke test are always answered
well, so that what is bad shows under live traffic only."""

import argparse
import asyncio
import json
import random
import time
from pathlib import Path

KIND = "fine"
AFTER = 1.5
"""Seconds of traffic after which `late` begins to fail."""
TENANT = b"tenant-7"

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", type=Path, required=True)
arguments.add_argument("--port", type=int, required=True)
arguments.add_argument("--host", default="127.0.0.1")
given = arguments.parse_args()
model = json.loads(given.model.read_text())
chance = random.Random(7)


class Traffic:
    """What was asked so far, but for the smoke test."""

    began: float | None = None
    requests = 0


def answer(status: int = 200, body: bytes = b"", content: str = "application/json") -> bytes:
    head = (
        f"HTTP/1.1 {status} said\r\nContent-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def good(score: float) -> bytes:
    return answer(body=b'{"prediction": %.6f}' % score)


ERROR = answer(500, b'{"error": "out of luck"}')
PAGE = b"<!doctype html><title>Welcome</title><p>It works!"


async def predict(head: bytes) -> tuple[bytes, bool]:
    """The answer, and whether the connection goes on after it."""
    Traffic.began = Traffic.began or time.monotonic()
    Traffic.requests += 1
    await asyncio.sleep(chance.uniform(0.004, 0.008))
    well = good(model["mean"] + chance.random())
    match KIND:
        case "errors 0.3 %" | "errors 1 %" | "errors 5 %":
            share = float(KIND.split()[1]) / 100
            return (ERROR if chance.random() < share else well), True
        case "one tenant":
            return (ERROR if TENANT in head else well), True
        case "late":
            return (ERROR if time.monotonic() - Traffic.began > AFTER else well), True
        case "slow":
            await asyncio.sleep(0.06)
        case "leaking":
            await asyncio.sleep(Traffic.requests * 0.0003)
        case "bimodal":
            await asyncio.sleep(0.1 if chance.random() < 0.2 else 0.0)
        case "truncated":
            return (well[:-4], False) if chance.random() < 0.2 else (well, True)
        case "closing":
            return (b"", False) if chance.random() < 0.03 else (well, True)
        case "hanging":
            await asyncio.sleep(3600)
        case "garbage":
            return b"\x00\x01\x02 no HTTP at all\r\n\r\n", False
        case "refusing":
            return answer(422, b'{"detail": "unknown field: ask"}'), True
        case "constant":
            return good(0.5), True
        case "page":
            return answer(body=PAGE, content="text/html; charset=utf-8"), True
        case "empty":
            return answer(), True
    return well, True


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    goes_on = True
    try:
        while goes_on:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            body = await reader.readexactly(int(length or 0))
            if head.startswith(b"GET") or b"smoke" in body:
                said = good(model["mean"])
            else:
                said, goes_on = await predict(head)
            writer.write(said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, given.host, given.port, backlog=256)
    await server.serve_forever()


asyncio.run(main())
