"""Check runs and check suites."""

from typing import Any

from tests.doubles.github import acts, render_checks
from tests.doubles.github.api.repositories import commit_of
from tests.doubles.github.calls import Call, Json, Refusal, Reply, invalid, route
from tests.doubles.github.state import CheckRun

PREFIX = "/repos/{owner}/{repo}"


@route("POST " + PREFIX + "/check-runs", needs="checks:write", by="installation")
def create(call: Call) -> Reply:
    said, repo = call.body, call.repo
    if repo.git.resolve(said["head_sha"]) != said["head_sha"]:
        raise Refusal(422, f"No commit found for SHA: {said['head_sha']}")
    suite = acts.suite_for(call.hub, repo, said["head_sha"])
    run = CheckRun(call.hub.next_id(), suite, said["name"], said["head_sha"], "queued", None)
    _say(call, run, said)
    repo.check_runs[run.id] = run
    acts.tell_check(call.hub, repo, run, "created", call.user)
    return Reply(201, render_checks.check_run(call.hub, repo, run))


@route("PATCH " + PREFIX + "/check-runs/{check_run_id}", needs="checks:write", by="installation")
def update(call: Call) -> Reply:
    run = _run(call)
    before = run.status
    _say(call, run, call.body)
    if before != run.status == "completed":
        acts.tell_check(call.hub, call.repo, run, "completed", call.user)
    return Reply(200, render_checks.check_run(call.hub, call.repo, run))


def _say(call: Call, run: CheckRun, said: Json) -> None:
    """What a request says of a check run, after the rules that its schema cannot tell."""
    status = "completed" if said.get("conclusion") else said.get("status", run.status)
    conclusion = said.get("conclusion") or (run.conclusion if "status" not in said else None)
    if status == "completed" and not conclusion:
        raise invalid(
            "CheckRun",
            "conclusion",
            "conclusion is required when status is completed",
            "missing_field",
        )
    if said.get("completed_at") and not conclusion:
        raise invalid(
            "CheckRun", "conclusion", "conclusion is required with completed_at", "missing_field"
        )
    if conclusion == "stale":
        raise invalid("CheckRun", "conclusion", "only GitHub can set stale", "invalid")
    if said.get("status", "completed") != "completed" and said.get("conclusion"):
        raise invalid(
            "CheckRun", "conclusion", "a conclusion needs the status completed", "invalid"
        )
    for annotation in said.get("output", {}).get("annotations", []):
        _judge(annotation)
    run.status, run.conclusion = status, conclusion if status == "completed" else None
    run.name = said.get("name", run.name)
    run.external_id = said.get("external_id", run.external_id)
    run.details_url = said.get("details_url", run.details_url)
    run.actions = said.get("actions", run.actions)
    run.started_at = said.get("started_at") or run.started_at or call.hub.now()
    run.completed_at = (said.get("completed_at") or call.hub.now()) if run.conclusion else None
    if "output" in said:
        run.output |= {k: v for k, v in said["output"].items() if k != "annotations"}
        run.annotations += said["output"].get("annotations", [])


def _judge(annotation: dict[str, Any]) -> None:
    """GitHub's limits on an annotation, which its description only tells in prose."""
    for name, limit in (("message", 64 * 1024), ("raw_details", 64 * 1024), ("title", 255)):
        if len(annotation.get(name) or "") > limit:
            raise invalid("CheckRunAnnotation", name, f"{name} is too long (maximum is {limit})")
    if not 1 <= annotation["start_line"] <= annotation["end_line"]:
        raise invalid(
            "CheckRunAnnotation", "end_line", "lines start at 1 and end after they start", "invalid"
        )
    columns = annotation.keys() & {"start_column", "end_column"}
    if columns and annotation["start_line"] != annotation["end_line"]:
        raise invalid(
            "CheckRunAnnotation", "start_column", "columns are only for one line", "invalid"
        )


def _run(call: Call) -> CheckRun:
    if run := call.repo.check_runs.get(call.params["check_run_id"]):
        return run
    raise Refusal(404, "Not Found")


@route("GET " + PREFIX + "/check-runs/{check_run_id}", needs="checks:read")
def one(call: Call) -> Reply:
    return Reply(200, render_checks.check_run(call.hub, call.repo, _run(call)))


@route("GET " + PREFIX + "/check-runs/{check_run_id}/annotations", needs="checks:read")
def annotations(call: Call) -> Reply:
    run = _run(call)
    return call.page(
        run.annotations, lambda it: render_checks.annotation(call.hub, call.repo, run, it)
    )


@route("GET " + PREFIX + "/commits/{ref}/check-runs", needs="checks:read")
def of_commit(call: Call) -> Reply:
    sha, want = commit_of(call, call.params["ref"]).sha, call.query
    found = [run for run in reversed(call.repo.check_runs.values()) if run.head_sha == sha]
    if want.get("app_id") and want["app_id"] != call.hub.the_app().id:
        found = []
    if name := want.get("check_name"):
        found = [run for run in found if run.name == name]
    if status := want.get("status"):
        found = [run for run in found if run.status == status]
    if want.get("filter") != "all":
        newest = {run.name: run for run in reversed(found)}
        found = [run for run in found if newest[run.name] is run]
    return call.page(
        found, lambda run: render_checks.check_run(call.hub, call.repo, run), "check_runs"
    )


@route("GET " + PREFIX + "/commits/{ref}/check-suites", needs="checks:read")
def suites(call: Call) -> Reply:
    sha = commit_of(call, call.params["ref"]).sha
    found = [suite for suite in call.repo.suites.values() if suite.head_sha == sha]
    return call.page(
        found, lambda it: render_checks.check_suite(call.hub, call.repo, it), "check_suites"
    )


@route("GET " + PREFIX + "/check-suites/{check_suite_id}", needs="checks:read")
def suite(call: Call) -> Reply:
    if it := call.repo.suites.get(call.params["check_suite_id"]):
        return Reply(200, render_checks.check_suite(call.hub, call.repo, it))
    raise Refusal(404, "Not Found")
