"""`python -m benchmarks.s3_pages OBJECTS CHANGED`: an S3 server of made-up objects, which only
lists them (ListObjectsV2). It prints its port; made up before it is measured, so that the listing
costs little more than sending."""

import sys
from bisect import bisect_right
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
HEAD = '<?xml version="1.0"?><ListBucketResult><Name>bench</Name><Prefix>lake/</Prefix>'


def _key(number: int) -> str:
    return f"lake/day={number // 1000:05}/part-{number:08}.parquet"


def _objects(count: int, changed: int) -> list[str]:
    every = count // changed if changed else 0
    return [
        f"<Contents><Key>{_key(number)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;{number * 2654435761 + (1 if every and number % every == 0 else 0):032x}"
        f"&quot;</ETag><Size>{number + 1}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for number in range(count)
    ]


def serve(count: int, changed: int) -> None:
    """Serve until ended."""
    objects = _objects(count, changed)
    keys = [_key(number) for number in range(count)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = parse_qs(urlsplit(self.path).query)
            token = asked.get("continuation-token", [""])[0]
            begin = int(token) if token else bisect_right(keys, asked.get("start-after", [""])[0])
            end = min(begin + PAGE, count)
            more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < count else ""
            about = f"<IsTruncated>{str(end < count).lower()}</IsTruncated>{more}"
            body = f"{HEAD}{about}{''.join(objects[begin:end])}</ListBucketResult>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
