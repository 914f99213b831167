"""The GitHub double, driven by the clients that know the real one: github3.py and plain HTTP."""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.doubles.github import Delivery, GitHub, Issue, Repository, webhook_examples

CHECKS = "/repos/acme/models/check-runs"
NOTE = {
    "path": "train.py",
    "start_line": 1,
    "end_line": 1,
    "annotation_level": "failure",
    "message": "m",
}


@pytest.fixture
def github(tmp_path: Path) -> Iterator[GitHub]:
    with GitHub(tmp_path) as double:
        double.app()
        yield double


@pytest.fixture
def repo(github: GitHub) -> Repository:
    repo = github.repository("acme/models")
    github.push(repo, {"train.py": "a\n", "data/x.csv": "1\n"})
    github.install(repo)
    return repo


def app_token(github: GitHub, **claims: Any) -> str:
    now = int(time.time())
    whole = {"iat": now - 30, "exp": now + 300, "iss": str(github.hub.the_app().id)} | claims
    return jwt.encode(whole, github.private_key, algorithm="RS256")


def client(github: GitHub, token: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=github.url, headers=headers, trust_env=False)


@pytest.fixture
def api(github: GitHub, repo: Repository) -> Iterator[httpx.Client]:
    """A client with an installation's token."""
    with client(github, installation_token(github)) as it:
        yield it


def installation_token(github: GitHub) -> str:
    with client(github, app_token(github)) as it:
        found = it.get("/repos/acme/models/installation").json()
        answer = it.post(f"/app/installations/{found['id']}/access_tokens")
        assert answer.status_code == 201
        return str(answer.json()["token"])


def opened(github: GitHub, repo: Repository, branch: str = "deeper", **more: Any) -> Issue:
    github.push(repo, {"train.py": f"{branch}\n"}, branch, parent=repo.git.heads()["main"])
    return github.open_pull_request(repo, branch, **more)


class Receiver:
    """A real server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name there
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/webhooks/github"

    def events(self) -> list[str]:
        return [headers["x-github-event"] for headers, _ in self.got]


@pytest.fixture
def receiver(github: GitHub) -> Iterator[Receiver]:
    it = Receiver()
    github.webhooks.url = it.url
    yield it
    github.webhooks.settle()
    it.server.shutdown()
    it.server.server_close()


def test_github3_logs_in_as_the_app_and_reports_a_check(github: GitHub, repo: Repository) -> None:
    import github3

    hub = github3.GitHubEnterprise(github.url)
    hub.session.trust_env = False
    app = github.hub.the_app()
    hub.login_as_app(github.private_key.encode(), str(app.id))
    installation = hub.app_installation_for_repository("acme", "models")
    hub.login_as_app_installation(github.private_key.encode(), str(app.id), installation.id)
    pull = opened(github, repo)

    theirs = hub.repository("acme", "models")
    (shown,) = theirs.pull_requests()
    assert (shown.number, shown.head.sha) == (pull.number, pull.request.head_sha)
    run = theirs.create_check_run("headgate / delay", shown.head.sha, status="in_progress")
    run.update(
        status="completed",
        conclusion="failure",
        output={"title": "FAIL", "summary": "roc_auc 0.58 < 0.60"},
    )
    (kept,) = github.check_runs(repo, pull.request.head_sha)
    assert (kept.status, kept.conclusion, kept.output["title"]) == ("completed", "failure", "FAIL")


def test_a_token_that_ended_or_never_was_is_401(github: GitHub, repo: Repository) -> None:
    token = installation_token(github)
    with client(github, token) as it:
        assert it.get("/repos/acme/models").status_code == 200
        github.end_tokens()
        assert it.get("/repos/acme/models").status_code == 401
    with client(github, "ghs_never") as it:
        assert it.get("/repos/acme/models").json()["message"] == "Bad credentials"


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"iat": 1 << 40}, {"exp": 1 << 40}, {"iss": "999"}], ids=str
)
def test_an_app_token_outside_its_limits_is_401(github: GitHub, claims: dict[str, Any]) -> None:
    with client(github, app_token(github, **claims)) as it:
        assert it.get("/app").status_code == 401
    with client(github, app_token(github)) as it:
        assert it.get("/app").json()["slug"] == "headgate"


def test_a_missing_permission_is_403_and_a_private_repository_of_others_404(
    github: GitHub, repo: Repository
) -> None:
    secret = github.repository("other/secret", private=True)
    (installation,) = github.hub.installations.values()
    installation.permissions = {"metadata": "read", "checks": "read"}
    with client(github, installation_token(github)) as it:
        body = {"name": "x", "head_sha": repo.git.heads()["main"]}
        assert it.post(CHECKS, json=body).status_code == 403
        assert it.get(f"/repos/{secret.full_name}").status_code == 404
    with client(github, github.token("dev")) as it:
        assert (
            it.post(CHECKS, json=body).json()["message"]
            == "You must authenticate via a GitHub App."
        )


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"status": "done"},
        {"output": {"title": "t", "summary": "s" * 65_536}},
        {"output": {"title": "t", "summary": "s", "annotations": [NOTE] * 51}},
        {"actions": [{"label": "l", "description": "d", "identifier": "i"}] * 4},
    ],
    ids=["unknown key", "unknown status", "long summary", "51 annotations", "4 actions"],
)  # fmt: skip  # a case a line
def test_what_the_description_forbids_is_422_and_remembered(
    github: GitHub, repo: Repository, api: httpx.Client, change: dict[str, Any]
) -> None:
    body = {"name": "x", "head_sha": repo.git.heads()["main"]} | change
    assert api.post(CHECKS, json=body).status_code == 422
    with pytest.raises(AssertionError, match="GitHub would not accept"):
        github.verify()
    assert github.forgive()
    assert github.check_runs(repo) == []


def test_what_only_its_state_forbids_is_422_but_no_violation(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    main = repo.git.heads()["main"]
    assert api.post(CHECKS, json={"name": "x", "head_sha": "0" * 40}).status_code == 422
    done = {"name": "x", "head_sha": main, "status": "completed"}
    assert api.post(CHECKS, json=done).status_code == 422
    assert api.get("/repos/acme/models/pulls/7").status_code == 404
    pull = opened(github, repo)
    too_long = {"body": "x" * 65_537}
    answer = api.post(f"/repos/acme/models/issues/{pull.number}/comments", json=too_long)
    assert (answer.status_code, github.comments(repo, pull)) == (422, [])


def test_an_operation_that_was_not_cut_out_fails_the_test(
    github: GitHub, api: httpx.Client
) -> None:
    assert api.get("/repos/acme/models/releases").status_code == 404
    assert "does not know this operation" in github.forgive()[0]


def test_pages_are_linked_and_hold_at_most_100(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    main = repo.git.heads()["main"]
    for number in range(101):
        repo.git.set_ref(f"refs/heads/b{number:03}", main)
    first = api.get("/repos/acme/models/branches", params={"per_page": 500})
    assert len(first.json()) == 100
    rest = api.get(first.links["next"]["url"])
    assert len(rest.json()) == 2
    assert "next" not in rest.links


def test_what_did_not_change_is_304_and_costs_nothing(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    first = api.get("/repos/acme/models/pulls")
    seen = {"If-None-Match": first.headers["etag"]}
    second = api.get("/repos/acme/models/pulls", headers=seen)
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    opened(github, repo)
    assert api.get("/repos/acme/models/pulls", headers=seen).status_code == 200


def test_limits_are_counted_and_told(github: GitHub, api: httpx.Client) -> None:
    left = api.get("/rate_limit").json()["rate"]["remaining"]
    github.limits.primary -= left - 1
    assert api.get("/repos/acme/models").headers["x-ratelimit-remaining"] == "0"
    refused = api.get("/repos/acme/models")
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    github.limits.primary = 5000
    github.limits.trip(retry_after=7, status=429)
    with client(github, github.token("dev")) as it:
        again = it.get("/repos/acme/models")
        assert (again.status_code, again.headers["retry-after"]) == (429, "7")
        assert it.get("/repos/acme/models").status_code == 200


def test_merging_makes_a_true_commit_and_refuses_conflicts_and_moved_heads(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    first, second = opened(github, repo, "one"), opened(github, repo, "two")
    merge = "/repos/acme/models/pulls/{}/merge"
    assert api.put(merge.format(first.number), json={"sha": "1" * 40}).status_code == 409
    made = api.put(merge.format(first.number), json={"sha": first.request.head_sha}).json()["sha"]
    assert repo.git.heads()["main"] == made
    assert repo.git.commit(made).parents[1] == first.request.head_sha
    assert api.get(f"/repos/acme/models/pulls/{second.number}").json()["mergeable"] is False
    assert api.put(merge.format(second.number), json={}).status_code == 405
    assert repo.git.resolve(f"refs/pull/{second.number}/head") == second.request.head_sha


def test_a_fork_is_a_repository_of_its_own_whose_pull_requests_no_check_run_names(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    fork = github.fork(repo, "stranger")
    sha = github.push(fork, {"train.py": "evil\n"}, "patch")
    pull = github.open_pull_request(repo, "patch", author="stranger", fork=fork)
    shown = api.get(f"/repos/acme/models/pulls/{pull.number}").json()
    assert (shown["head"]["repo"]["full_name"], shown["head"]["sha"]) == ("stranger/models", sha)
    assert [
        f["filename"] for f in api.get(f"/repos/acme/models/pulls/{pull.number}/files").json()
    ] == ["train.py"]
    run = api.post(CHECKS, json={"name": "x", "head_sha": sha}).json()
    assert run["pull_requests"] == []
    again = github.push(fork, {"train.py": "worse\n"}, "patch")
    assert repo.git.resolve(f"refs/pull/{pull.number}/head") == again == pull.request.head_sha


def test_reports_of_a_release_read_back_as_they_were_written(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    main, root = repo.git.heads()["main"], "/repos/acme/models"
    body = {"ref": main, "environment": "staging", "required_contexts": [], "auto_merge": False}
    ids = [api.post(f"{root}/deployments", json=body).json()["id"] for _ in range(2)]
    for number in ids:
        answer = api.post(f"{root}/deployments/{number}/statuses", json={"state": "success"})
        assert answer.status_code == 201
    assert [it.state for it in github.deployments(repo)] == ["inactive", "success"]
    assert api.get(f"{root}/environments").json()["total_count"] == 1
    assert api.put(f"{root}/environments/production", json={"wait_timer": 5}).status_code == 200
    assert api.get(f"{root}/environments/production").status_code == 200
    assert len(api.get(f"{root}/deployments", params={"environment": "staging"}).json()) == 2
    assert len(api.get(f"{root}/deployments/{ids[0]}/statuses").json()) == 2
    api.post(f"{root}/statuses/{main}", json={"state": "failure", "context": "headgate"})
    assert api.get(f"{root}/commits/main/status").json()["state"] == "failure"
    assert len(api.get(f"{root}/commits/main/statuses").json()) == 1


def test_who_is_in_a_team_is_told_to_an_app_that_may_read_members(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    github.team("acme", "risk", "Ada")
    github.team("acme", "risk", "bob", state="pending")
    membership = "/orgs/acme/teams/risk/memberships"
    assert api.get(f"{membership}/ada").status_code == 403
    (installation,) = github.hub.installations.values()
    installation.permissions["members"] = "read"
    with client(github, installation_token(github)) as may:
        assert may.get(f"{membership}/ADA").json()["state"] == "active"
        assert may.get(f"{membership}/bob").json()["state"] == "pending"
        assert may.get(f"{membership}/eve").status_code == 404
        assert may.get("/orgs/acme/teams/none/memberships/ada").status_code == 404
        assert may.get("/orgs/other/teams/risk/memberships/ada").status_code == 403
    with client(github, github.token("ada")) as ada, client(github, github.token("eve")) as eve:
        assert ada.get(f"{membership}/bob").json()["state"] == "pending"
        assert eve.get(f"{membership}/bob").status_code == 404


def test_a_comment_that_somebody_edits_keeps_its_writer_and_says_when(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    github.grant(repo, "eve", "write")
    made = github.comment(repo, opened(github, repo), "Fine", "ada")
    github.advance(5)
    github.edit_comment(repo, made, "Not fine", "eve")
    shown = api.get(f"/repos/acme/models/issues/comments/{made.id}").json()
    assert (shown["body"], shown["user"]["login"]) == ("Not fine", "ada")
    assert shown["updated_at"] > shown["created_at"]


def test_every_reading_operation_answers_as_described(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    pull, root = opened(github, repo), "/repos/acme/models"
    sha = pull.request.head_sha
    output = {"title": "t", "summary": "s", "annotations": [NOTE]}
    run = api.post(CHECKS, json={"name": "x", "head_sha": sha, "output": output}).json()
    issue = api.post(f"{root}/issues", json={"title": "Rolled back", "labels": ["incident"]}).json()
    comment = github.comment(repo, pull, "/headgate plan", "dev")
    one = f"{root}/issues/comments/{comment.id}"
    assert api.post(f"{one}/reactions", json={"content": "eyes"}).status_code == 201
    assert api.post(f"{one}/reactions", json={"content": "eyes"}).status_code == 200
    assert api.patch(one, json={"body": "edited"}).json()["body"] == "edited"
    for path in (
        "", "/branches", "/branches/main", "/commits/main", f"/commits/{sha}/pulls",
        f"/compare/main...{sha}",
        "/contents/train.py", "/contents/data", "/contents/", "/git/ref/heads/main",
        "/pulls?state=all",
        f"/pulls/{pull.number}/commits", f"/check-runs/{run['id']}/annotations",
        f"/check-runs/{run['id']}",
        f"/check-suites/{run['check_suite']['id']}", f"/commits/{sha}/check-runs",
        f"/commits/{sha}/check-suites",
        "/issues", f"/issues/{issue['number']}", f"/issues/{pull.number}/comments",
        "/collaborators/dev/permission", "/issues?labels=incident",
    ):  # fmt: skip  # a list of places
        answer = api.get(root + path)
        assert answer.status_code == 200, (path, answer.text)
    assert api.get("/installation/repositories").json()["total_count"] == 1
    assert api.get("/meta").status_code == 200
    done = api.patch(f"{root}/issues/{issue['number']}", json={"state": "closed"}).json()
    assert done["state_reason"] == "completed"
    assert (
        api.patch(f"{root}/pulls/{pull.number}", json={"state": "closed"}).json()["state"]
        == "closed"
    )
    assert api.delete(one).status_code == 204
    with client(github, github.token("dev")) as person:
        assert person.get("/user").json()["login"] == "dev"


def test_webhooks_are_signed_and_tell_what_happened_in_order(
    github: GitHub, repo: Repository, receiver: Receiver
) -> None:
    github.ping()
    pull = opened(github, repo)
    github.push(repo, {"train.py": "again\n"}, "deeper")
    github.comment(repo, pull, "/headgate run")
    github.merge(repo, pull)
    github.webhooks.settle()
    assert receiver.events() == [
        "ping", "check_suite", "push", "pull_request", "check_suite", "push", "pull_request",
        "issue_comment", "pull_request", "check_suite", "push",
    ]  # fmt: skip  # a sequence
    secret = github.hub.the_app().webhook_secret.encode()
    for headers, body in receiver.got:
        digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
        assert headers["x-hub-signature-256"] == f"sha256={digest}"


def test_webhooks_get_lost_doubled_reordered_forged_replayed_and_huge(
    github: GitHub, repo: Repository, receiver: Receiver
) -> None:
    pull = opened(github, repo)
    github.webhooks.settle()
    receiver.got.clear()
    github.webhooks.lose("issue_comment")
    github.comment(repo, pull, "lost")
    github.webhooks.double("issue_comment")
    github.comment(repo, pull, "twice")
    github.webhooks.settle()
    assert len({headers["x-github-delivery"] for headers, _ in receiver.got}) == 1
    assert receiver.events() == ["issue_comment"] * 2
    github.webhooks.hold()
    github.comment(repo, pull, "first")
    github.close(repo, pull)
    backwards: Callable[[list[Delivery]], list[Delivery]] = lambda held: held[::-1]  # noqa: E731  # typed
    github.webhooks.release(backwards)
    github.webhooks.settle()
    assert receiver.events()[2:] == ["pull_request", "issue_comment"]
    assert github.webhooks.replay(github.webhooks.sent[-1]) == 202
    assert receiver.got[-1] == receiver.got[-2]
    assert github.webhooks.forge("push", {"ref": "refs/heads/main"}) == 202
    assert github.webhooks.oversize("push") == 202
    assert len(receiver.got[-1][1]) == 26_000_000


def test_a_failed_delivery_is_listed_and_sent_again_on_request(
    github: GitHub, repo: Repository, receiver: Receiver
) -> None:
    github.webhooks.url = "http://127.0.0.1:1/nobody"
    opened(github, repo)
    github.webhooks.settle()
    github.webhooks.url = receiver.url
    with client(github, app_token(github)) as it:
        listed = it.get("/app/hook/deliveries", params={"per_page": 2})
        assert [entry["status_code"] for entry in listed.json()] == [0, 0]
        assert len(it.get(listed.links["next"]["url"]).json()) == 1
        newest = listed.json()[0]
        assert it.get(f"/app/hook/deliveries/{newest['id']}").json()["request"]["payload"]
        assert it.post(f"/app/hook/deliveries/{newest['id']}/attempts").status_code == 202
    github.webhooks.settle()
    assert [headers["x-github-delivery"] for headers, _ in receiver.got] == [newest["guid"]]


def test_buttons_of_a_check_run_are_told(
    github: GitHub, repo: Repository, api: httpx.Client, receiver: Receiver
) -> None:
    buttons = [{"label": "Run", "description": "Run it", "identifier": "run"}]
    body = {"name": "x", "head_sha": repo.git.heads()["main"], "actions": buttons}
    api.post(CHECKS, json=body | {"conclusion": "success"})
    (run,) = github.check_runs(repo)
    github.click_rerun(repo, run)
    github.click_action(repo, run, "run")
    github.click_rerun_all(repo, run.head_sha)
    github.webhooks.settle()
    actions = [it["action"] for it in github.hub.deliveries]
    assert actions == ["created", "rerequested", "requested_action", "rerequested"]


def test_faults_answer_cut_and_drop_as_asked(
    github: GitHub, repo: Repository, api: httpx.Client
) -> None:
    create = "POST /repos/{owner}/{repo}/check-runs"
    body = {"name": "x", "head_sha": repo.git.heads()["main"]}
    github.fail(create, status=502)
    assert api.post(CHECKS, json=body).status_code == 502
    github.fail(create, drop=True)
    with pytest.raises(httpx.RemoteProtocolError):
        api.post(CHECKS, json=body)
    assert github.check_runs(repo) == []
    github.fail(create, drop=True, applied=True)
    with pytest.raises(httpx.RemoteProtocolError):
        api.post(CHECKS, json=body)
    assert len(github.check_runs(repo)) == 1
    github.fail(create, half=True)
    with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
        api.post(CHECKS, json=body)
    github.fail(create, delay=30)
    with pytest.raises(httpx.ReadTimeout):
        api.post(CHECKS, json=body, timeout=0.2)
    assert [call.status for call in github.calls(create)][:4] == [502, 0, 201, 201]


def test_a_push_by_git_itself_is_seen(github: GitHub, repo: Repository, api: httpx.Client) -> None:
    pull = opened(github, repo)
    sha = repo.git.write(
        "deeper", {"train.py": "behind its back\n"}, "Push", ("dev", "dev@example.com")
    )
    assert api.get(f"/repos/acme/models/pulls/{pull.number}").json()["head"]["sha"] == sha
    github.delete_branch(repo, "deeper")
    assert pull.state == "closed"


def test_all_of_githubs_example_payloads_are_here() -> None:
    assert len(webhook_examples()) == 329
    assert len({event for event, _ in webhook_examples()}) == 58
