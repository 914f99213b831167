"""PURE. A commit as `git fast-import` reads it: one process writes it with all its files."""

from collections.abc import Iterator, Mapping

from controller.git.commit_info import Author, checked_path, checked_sha

COMMAND = ("fast-import", "--quiet", "--date-format=now")

_REF = b"refs/headgate/written"
"""Where the commit is put and taken away again, in memory: fast-import writes to a branch."""


def stream(
    base: str | None, files: Mapping[str, bytes | None], message: str, author: Author
) -> bytes:
    """The input of `COMMAND`, which prints the commit's id; see `Mirror.write_commit`."""
    return b"".join(_stream(base, files, message, author))


def _stream(
    base: str | None, files: Mapping[str, bytes | None], message: str, author: Author
) -> Iterator[bytes]:
    yield b"feature done\ncommit %s\nmark :1\n" % _REF
    yield f"committer {author.name} <{author.email}> now\n".encode()
    yield _data(message.encode())
    if base is not None:
        yield f"from {checked_sha(base)}\n".encode()
    for path, content in files.items():
        if content is None:
            yield f"D {_quoted(path)}\n".encode()
        else:
            yield f"M 100644 inline {_quoted(path)}\n".encode()
            yield _data(content)
    yield b"\nget-mark :1\nreset %s\nfrom %s\n\ndone\n" % (_REF, b"0" * 40)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> str:
    escaped = checked_path(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
