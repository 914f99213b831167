"""Fetch GitHub's own description of its API, and cut out what the double speaks.

Run ``python -m tests.doubles.github.fetch_schema`` (needs npm and its registry) to write two files:
`description.json`, the operations and webhooks named here with every schema they reach, and
`webhook-examples.json.gz`, all example payloads. Both are GitHub's own words: prose is left out,
nothing is changed. The packages are pinned by version and digest.
"""

import base64
import gzip
import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DESCRIPTION = HERE / "description.json"
EXAMPLES = HERE / "webhook-examples.json.gz"


@dataclass(frozen=True)
class Package:
    """An npm package at one version, whose tarball has one SHA-512 digest."""

    name: str
    version: str
    sha512: str
    member: str

    @property
    def spec(self) -> str:
        return f"{self.name}@{self.version}"


OPENAPI = Package(
    "@octokit/openapi",
    "23.0.2",
    "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    "package/generated/api.github.com.json",
)
WEBHOOKS = Package(
    "@octokit/webhooks-examples",
    "7.6.1",
    "De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
    "package/api.github.com/index.json",
)

_REPOSITORY_OPERATIONS = """
GET
GET /installation
GET /collaborators/{username}/permission
GET /contents/{path}
GET /git/ref/{ref}
GET /branches
GET /branches/{branch}
GET /rules/branches/{branch}
GET /compare/{basehead}
GET /commits/{ref}
GET /commits/{commit_sha}/pulls
GET /pulls
POST /pulls
GET /pulls/{pull_number}
PATCH /pulls/{pull_number}
GET /pulls/{pull_number}/files
GET /pulls/{pull_number}/commits
GET /pulls/{pull_number}/merge
PUT /pulls/{pull_number}/merge
POST /check-runs
GET /check-runs/{check_run_id}
PATCH /check-runs/{check_run_id}
GET /check-runs/{check_run_id}/annotations
GET /commits/{ref}/check-runs
GET /commits/{ref}/check-suites
GET /check-suites/{check_suite_id}
GET /issues
POST /issues
GET /issues/{issue_number}
PATCH /issues/{issue_number}
GET /issues/{issue_number}/comments
POST /issues/{issue_number}/comments
GET /issues/comments
GET /issues/comments/{comment_id}
PATCH /issues/comments/{comment_id}
DELETE /issues/comments/{comment_id}
POST /issues/comments/{comment_id}/reactions
GET /deployments
POST /deployments
GET /deployments/{deployment_id}
GET /deployments/{deployment_id}/statuses
POST /deployments/{deployment_id}/statuses
GET /environments
GET /environments/{environment_name}
PUT /environments/{environment_name}
POST /statuses/{sha}
GET /commits/{ref}/statuses
GET /commits/{ref}/status
"""
OPERATIONS = (
    "GET /app",
    "GET /app/installations",
    "POST /app/installations/{installation_id}/access_tokens",
    "GET /app/hook/config",
    "GET /app/hook/deliveries",
    "GET /app/hook/deliveries/{delivery_id}",
    "POST /app/hook/deliveries/{delivery_id}/attempts",
    "GET /installation/repositories",
    "GET /orgs/{org}/teams/{team_slug}/memberships/{username}",
    "GET /rate_limit",
    "GET /user",
    "GET /meta",
    *(
        method + " /repos/{owner}/{repo}" + path
        for method, _, path in (
            line.partition(" ") for line in _REPOSITORY_OPERATIONS.strip().splitlines()
        )
    ),
)
EVENTS = (
    "ping",
    "push",
    "pull-request-opened",
    "pull-request-synchronize",
    "pull-request-reopened",
    "pull-request-edited",
    "pull-request-closed",
    "check-run-created",
    "check-run-completed",
    "check-run-rerequested",
    "check-run-requested-action",
    "check-suite-completed",
    "check-suite-requested",
    "check-suite-rerequested",
    "issue-comment-created",
    "issue-comment-edited",
    "issue-comment-deleted",
    "installation-created",
    "installation-deleted",
    "installation-suspend",
    "installation-unsuspend",
)
_PROSE = {"description", "example", "examples", "externalDocs", "summary", "tags", "x-github"}


def cut(whole: dict[str, Any]) -> dict[str, Any]:
    """The operations and webhooks named above, with every component they reach, without prose."""
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        method, path = operation.strip().split(" ")
        paths.setdefault(path, {})[method.lower()] = _terse(whole["paths"][path][method.lower()])
    hooks = {name: _terse(whole["x-webhooks"][name]) for name in EVENTS}
    components: dict[str, dict[str, Any]] = {}
    owed = _references(paths) | _references(hooks)
    while owed:
        _, _, kind, name = owed.pop().split("/")
        if name in components.setdefault(kind, {}):
            continue
        component = components[kind][name] = _terse(whole["components"][kind][name])
        owed |= _references(component)
    return {
        "openapi": whole["openapi"],
        "info": whole["info"] | {"x-cut-from": OPENAPI.spec},
        "paths": paths,
        "x-webhooks": hooks,
        "components": {
            kind: dict(sorted(named.items())) for kind, named in sorted(components.items())
        },
    }


def _terse(node: Any, names: bool = False) -> Any:
    """The node without prose; `names`: its keys are names of properties, not words of OpenAPI."""
    if isinstance(node, dict):
        return {
            key: _terse(value, key == "properties" and not names)
            for key, value in node.items()
            if names or key not in _PROSE
        }
    return [_terse(value) for value in node] if isinstance(node, list) else node


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = node.get("$ref")
        found = {own} if isinstance(own, str) else set()
        return found.union(*(_references(value) for value in node.values()))
    return set().union(*(_references(v) for v in node)) if isinstance(node, list) else set()


def fetch(package: Package) -> Any:
    """The JSON member of a package, from npm; ValueError for a tarball with another digest."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", package.spec], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != package.sha512:
            raise ValueError(f"{package.spec} has digest {digest}, expected {package.sha512}")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(package.member)
            assert member is not None, f"{package.spec} has no file {package.member}"
            return json.load(member)


def main() -> None:
    DESCRIPTION.write_text(_one_line_per_entry(cut(fetch(OPENAPI))))
    examples = json.dumps(fetch(WEBHOOKS), separators=(",", ":")).encode()
    EXAMPLES.write_bytes(gzip.compress(examples, 9, mtime=0))


def _one_line_per_entry(description: dict[str, Any]) -> str:
    """JSON with a line per path and per component: a new version reads as a diff."""

    def lines(node: Any, depth: int) -> str:
        if depth == 0 or not isinstance(node, dict) or not node:
            return json.dumps(node, separators=(",", ":"), sort_keys=True)
        inner = ",\n".join(f"{json.dumps(k)}: {lines(v, depth - 1)}" for k, v in node.items())
        return "{\n" + inner + "\n}"

    parts = {
        key: lines(value, 2 if key == "components" else 1) for key, value in description.items()
    }
    return "{\n" + ",\n".join(f"{json.dumps(k)}: {v}" for k, v in parts.items()) + "\n}\n"


if __name__ == "__main__":
    main()
