"""Check runs and check suites in the shapes of the REST API."""

from tests.doubles.github import render
from tests.doubles.github.render import Json
from tests.doubles.github.state import CheckRun, Hub, Repository, Suite


def _pulls_of(hub: Hub, repo: Repository, sha: str) -> list[Json]:
    """Open pull requests of a commit. Like GitHub, those from forks are not told."""

    def end(ref: str, sha: str) -> Json:
        known = {"id": repo.id, "url": render.repository_url(hub, repo), "name": repo.name}
        return {"ref": ref, "sha": sha, "repo": known}

    return [
        {
            "id": it.id + 1,
            "number": it.number,
            "url": f"{render.repository_url(hub, repo)}/pulls/{it.number}",
            "head": end(it.request.head_ref, it.request.head_sha),
            "base": end(it.request.base_ref, it.request.base_sha),
        }
        for it in repo.pulls()
        if it.state == "open" and it.request.head_sha == sha and it.request.head_repository is repo
    ]


def check_run(hub: Hub, repo: Repository, it: CheckRun, suite_shown: bool = False) -> Json:
    url = f"{render.repository_url(hub, repo)}/check-runs/{it.id}"
    said = {key: it.output.get(key) for key in ("title", "summary", "text")}
    return {
        "id": it.id,
        "node_id": render.node_id("CheckRun", it.id),
        "name": it.name,
        "head_sha": it.head_sha,
        "external_id": it.external_id,
        "url": url,
        "html_url": f"{render.html_url(hub, repo)}/runs/{it.id}",
        "details_url": it.details_url or hub.url,
        "status": it.status,
        "conclusion": it.conclusion,
        "started_at": it.started_at,
        "completed_at": it.completed_at,
        "output": said
        | {"annotations_count": len(it.annotations), "annotations_url": f"{url}/annotations"},
        "check_suite": check_suite(hub, repo, it.suite, True)
        if suite_shown
        else {"id": it.suite.id},
        "app": render.app(hub),
        "pull_requests": _pulls_of(hub, repo, it.head_sha),
    }


def suite_state(repo: Repository, it: Suite) -> tuple[str, str | None, list[CheckRun]]:
    """Status and conclusion of a suite: completed when all its runs are, as bad as the worst."""
    runs = [run for run in repo.check_runs.values() if run.suite is it]
    if not runs:
        return "queued", None, runs
    if any(run.status != "completed" for run in runs):
        return "in_progress", None, runs
    worst = (
        "failure",
        "timed_out",
        "cancelled",
        "action_required",
        "stale",
        "success",
        "neutral",
        "skipped",
    )
    return "completed", min((str(run.conclusion) for run in runs), key=worst.index), runs


def check_suite(hub: Hub, repo: Repository, it: Suite, simple: bool = False) -> Json:
    status, conclusion, runs = suite_state(repo, it)
    url = f"{render.repository_url(hub, repo)}/check-suites/{it.id}"
    shown: Json = {
        "id": it.id,
        "node_id": render.node_id("CheckSuite", it.id),
        "head_branch": it.head_branch,
        "head_sha": it.head_sha,
        "status": status,
        "conclusion": conclusion,
        "url": url,
        "before": it.before,
        "after": it.head_sha,
        "pull_requests": _pulls_of(hub, repo, it.head_sha),
        "app": render.app(hub),
        "created_at": it.created_at,
        "updated_at": it.updated_at,
    }
    if simple:
        return shown
    return shown | {
        "latest_check_runs_count": len({run.name for run in runs}),
        "check_runs_url": f"{url}/check-runs",
        "head_commit": render.simple_commit(repo.git.commit(it.head_sha)),
        "repository": render.repository(hub, repo),
    }


def annotation(hub: Hub, repo: Repository, it: CheckRun, said: Json) -> Json:
    place = f"{render.html_url(hub, repo)}/blob/{it.head_sha}/{said['path']}"
    optional = ("start_column", "end_column", "title", "raw_details")
    return dict.fromkeys(optional) | said | {"blob_href": place}
