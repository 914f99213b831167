"""The story, act by act. Each act returns a sentence that says what was seen."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from controller.machine.environments.environment import server_name
from controller.machine.runs.run import Run
from examples.demo.world import (
    EXAMPLE,
    Unexpected,
    World,
    attempts_of,
    expect,
    git,
    phase,
)
from validators.verdict import Verdict

Say = Callable[[str], None]


class Act(NamedTuple):
    """An act."""

    title: str
    play: Callable[[World, Say], Awaitable[str]]


async def first_release(world: World, say: Say) -> str:
    """A commit goes all the way to production."""
    say("`headgate init` writes a spec for a folder that has none")
    trial = world.folder / "first-steps"
    trial.mkdir()
    for name in ("train.py", "evaluate.py", "serve.py", "flights.py", "requirements.txt"):
        (trial / name).write_bytes((EXAMPLE / name).read_bytes())
    world.headgate("init", folder=trial)
    world.headgate("validate", folder=trial)

    say("the controller starts; the example is pushed, with three months in the bucket")
    for month in (1, 2, 3):
        world.delivery.deliver(world.data.month(month))
    world.headgate("validate", folder=world.pipeline)
    commit = world.push("Add the flight-delay pipeline")
    await world.start_controller()
    run = await passed(world, 1)
    expect(run.commit == commit, f"a run of commit {commit[:10]}", run.commit)

    say("all gates passed; staging, smoke and, because there is no baseline, production")
    await world.serves(1)
    file = world.file()
    expect(file.model and file.model.version == 1, "v1 on the environments branch", file.model)
    expect(file.model and file.model.commit == commit, f"commit {commit[:10]} there", file.model)
    answer = await ask(await world.address())
    expect(answer["predictions"], "a prediction", answer)
    await world.noted(commit, "data.flights", "model")
    say("callers start to send real flights")
    await world.start_traffic()
    late = answer["predictions"][0]["p_late"]
    return f"v1 serves ({run.id}: {gates(run)}); it says {late:.0%} late. Branch: {top(world)}"


async def only_what_depends(world: World, say: Say) -> str:
    """A commit runs only the steps that it changes."""
    say("a commit changes only the docs")
    with (world.pipeline / "README.md").open("a") as readme:
        readme.write("\nQuestions: ask @flights-ml.\n")
    docs = world.push("Say whom to ask")
    await world.noted(docs, "nothing to run")
    expect(await world.newest_run() == 1, "no run for the docs", await world.newest_run())

    say("a commit changes a parameter: more trees")
    world.edit("ml-pipeline.yaml", "rounds: 60", "rounds: 80")
    world.push("Grow 80 trees")
    run = await passed(world, 2)
    phases = {name: phase(run, name) for name in run.nodes}
    expect(phases["gate.data.flights"] == "cached", "no second check of the same data", phases)
    expect(phases["train"] == "succeeded", "a new training", phases)
    say("retrained, and not worse: a canary with the callers' requests")
    await world.serves(2)
    return "the docs ran nothing; 80 trees retrained the model without another data gate"


async def new_month(world: World, say: Say) -> str:
    """New data gives a new model, if it is no worse than the old one on the same flights."""
    say("April lands in the bucket")
    world.delivery.deliver(world.data.month(4))
    run = await passed(world, 3)
    expect(run.trigger.kind == "data", "a run because of data", run.trigger.why)
    expect(run.baseline == 2, "a comparison with v2", f"the baseline {run.baseline}")
    say("v3 against v2 on April's flights: passed; a canary gets a share of the traffic")
    await world.canary()
    await world.serves(3)
    file = world.file()
    expect(file.verdicts.get("canary") is Verdict.PASS, "the canary's verdict", file.verdicts)
    judged = next((e for e in file.evidence if e["signal"] == "errors"), None)
    expect(judged, "the judge's evidence in the commit", file.evidence)
    return (
        f"v3 was promoted on {judged['n']:,} canary requests. Branch: {top(world)}"
        if judged
        else ""
    )


async def poisoned_month(world: World, say: Say) -> str:
    """Bad data reaches neither training nor production, and on-call learns where it is bad."""
    before, heard = top(world), len(world.oncall.told)
    say("May arrives: keys are null, a column is missing, distances are negative")
    world.delivery.deliver(world.data.poisoned(5))
    run = await world.ended(4)
    verdict = run.verdicts.get("data.flights")
    expect(verdict is Verdict.FAIL, "FAIL from the data gate", gates(run))
    expect(phase(run, "train") == "skipped", "no training on it", phase(run, "train"))
    told = await world.seen(
        lambda: world.oncall.alerts("gate", since=heard), "a notification to on-call"
    )
    for column in ("flight_id", "carrier", "distance"):
        expect(column in told[0].text, f"{column} in the notification", told[0].text)
    expect(top(world) == before, "production untouched", top(world))
    say("on-call was told which columns are wrong; the delivery is withdrawn")
    world.delivery.withdraw(world.data.poisoned(5))
    await passed(world, 5)
    await world.seen(
        lambda: world.oncall.alerts("gate", "resolved", since=heard), "the end of the alert"
    )
    return "the data gate named flight_id, carrier and distance to on-call; production untouched"


async def worse_model(world: World, say: Say) -> str:
    """The model gate stops a commit that makes the model worse."""
    before, heard = top(world), len(world.oncall.told)
    say("a commit raises the learning rate to 1.5")
    world.edit("ml-pipeline.yaml", "learning_rate: 0.1", "learning_rate: 1.5")
    commit = world.push("Learn faster")
    run = await world.ended(6)
    verdict = run.verdicts.get("model")
    expect(verdict is Verdict.FAIL, "FAIL from the model gate", gates(run))
    await world.noted(commit, "roc_auc", "FAIL")
    await world.seen(lambda: world.oncall.alerts("gate", since=heard), "a notification to on-call")
    expect(top(world) == before, "production untouched", top(world))
    say("stopped; the commit is reverted")
    world.revert_last_push()
    run = await passed(world, 7)
    expect(phase(run, "train") == "cached", "no training for a known result", phase(run, "train"))
    return "the model gate failed on roc_auc against v3; the revert reused the trained model"


async def bad_server(world: World, say: Say) -> str:
    """The canary rolls back a server that passes the smoke test and fails under load."""
    heard = len(world.oncall.told)
    say("a commit makes the server fail once it has seen 32 destinations")
    git(world.pipeline, "apply", str(EXAMPLE / "variants" / "fails-under-load.patch"))
    world.push("Reject destinations that cannot be airports")
    await passed(world, 8)
    say("the smoke request passes; the canary gets real requests")
    await world.canary()
    bad = (await world.environment()).rollout
    assert bad is not None

    async def rolled_back() -> bool:
        env = await world.environment()
        return bool(env.quarantined(bad.version.digest)) and env.write is None

    await world.until(rolled_back, "a rollback")
    env = await world.serves(3)
    answers = world.traffic()
    expect(answers.statuses[500], "failures of the canary among the answers", answers.statuses)
    await no_failure_by_stable(world)
    file = world.file()
    expect(file.model and file.model.version == 3, "v3 on the branch", file.model)
    expect(file.is_quarantined(bad.version.digest), "the digest in quarantine", file.quarantine)
    say(f"{bad.version} was rolled back: {env.quarantine[-1].reason}")
    await world.seen(lambda: world.oncall.alerts("rollback", since=heard), "a notification")
    await asyncio.sleep(2)  # time for a second notification, which would be an error
    told = world.oncall.alerts("rollback", since=heard)
    expect(len(told) == 1, "one notification of the rollback", [one.title for one in told])
    for word in (f"v{bad.version.version}", "v3", "errors", "headgate "):
        expect(word in told[0].title + told[0].text, f"{word!r} in it", told[0].text)
    served = world.traffic().statuses[500]
    return (
        f"{served} requests failed before v{bad.version.version} was rolled back and quarantined; "
        f"none at v3. On-call: {told[0].title!r}"
    )


async def revert_by_hand(world: World, say: Say) -> str:
    """A person reverts a promotion in git, and production follows."""
    say("the server is fixed, and goes the same way")
    world.edit("serve.py", "self._checked.popitem(last=False)", "self._checked.clear()")
    world.push("Forget all destinations at once")
    await passed(world, 9)
    fixed = (await world.canary()).rollout
    assert fixed is not None
    await world.serves(fixed.version.version)
    promotion = top(world)

    say(f"somebody does not trust it yet: `git revert` of {promotion!r}")
    began = time.monotonic()
    world.revert_release()
    env = await world.serves(3)
    assert env.stable is not None
    await world.until_routed(server_name(env.place, env.stable))
    seconds = time.monotonic() - began
    await no_failure_by_stable(world)
    return f"production was back at v3 {seconds:.1f} s after the push of a `git revert`"


async def killed(world: World, say: Say) -> str:
    """`kill -9` only costs time."""
    say("May arrives, intact this time")
    world.delivery.deliver(world.data.month(5))
    await world.until_phase(10, "train", "running")
    world.kill_controller()
    say("`kill -9` during the training; production still answers; restart")
    await still_answered(world)
    await world.start_controller()
    run = await passed(world, 10)
    twice = {name: n for name, n in attempts_of(run).items() if n > 1}
    expect(not twice, "every step to run once", twice)

    env = await world.canary()
    assert env.rollout is not None
    number = env.rollout.version.version
    await world.until_canary_requests(200)
    world.kill_controller()
    say("`kill -9` during the canary; both servers still answer; restart")
    await still_answered(world)
    await world.start_controller()
    await world.serves(number)
    promotions = [line for line in world.releases() if f"promote v{number} " in line]
    expect(len(promotions) == 1, f"one promotion of v{number}", promotions)
    expect(await world.newest_run() == 10, "ten runs in all", await world.newest_run())
    await no_failure_by_stable(world)
    return (
        f"the run and the canary of v{number} continued; every step ran once, one promotion, "
        f"{world.traffic().total:,} requests in all, none failed at a stable model"
    )


ACTS = (
    Act("From a commit to production", first_release),
    Act("A commit runs only what it changes", only_what_depends),
    Act("A new month: retrained, compared, promoted by canary", new_month),
    Act("A broken month is stopped by the data gate", poisoned_month),
    Act("A worse model is stopped by the model gate", worse_model),
    Act("A server that fails under load is rolled back", bad_server),
    Act("A person reverts a promotion in git", revert_by_hand),
    Act("kill -9 during training and during the canary", killed),
)


async def passed(world: World, number: int) -> Run:
    """Wait for a run to pass."""
    run = await world.ended(number)
    if run.outcome != "passed":
        raise Unexpected(f"run {run.id} to pass", f"{run.outcome}: {gates(run)}, {why(run)}")
    return run


async def no_failure_by_stable(world: World) -> None:
    """Check that every request got an answer, and that every answer of stable was a 200.

    The router counts answers by arm. It must be the same router as at the start, and its counts
    must agree with what callers saw.
    """
    router = await world.router()
    expect(router.epoch == world.epoch, "the same router throughout the story", router.epoch)
    stable, canary = (router.answers.get(arm, {}) for arm in ("stable", "canary"))
    expect(set(stable) == {"200"}, "every answer of stable to be 200", stable)
    seen = world.traffic().statuses
    expect(set(seen) <= {200, 500}, "an answer to every request", dict(seen))
    expect(seen[500] <= canary.get("500", 0), "only failures of the canary", (dict(seen), canary))


async def still_answered(world: World) -> None:
    """Check that callers get 200 while there is no controller."""
    before = world.traffic()
    await asyncio.sleep(1.5)
    after = world.traffic()
    new = after.statuses - before.statuses
    expect(new[200] and set(new) == {200}, "answers without a controller", new)


async def ask(address: str) -> dict[str, list[dict[str, float]]]:
    """Send a real request to production."""
    body = (EXAMPLE / "smoke" / "request.json").read_bytes()
    request = urllib.request.Request(f"{address}/predict", body)  # noqa: S310 - our own address
    with await asyncio.to_thread(urllib.request.urlopen, request, timeout=10) as answer:
        said: dict[str, list[dict[str, float]]] = json.load(answer)
        return said


def top(world: World) -> str:
    """The subject of the newest commit that changed production."""
    releases = world.releases()
    return releases[0].partition(" ")[2] if releases else ""


def gates(run: Run) -> str:
    """The verdicts of a run's gates."""
    return ", ".join(f"{gate} {verdict}" for gate, verdict in run.verdicts.items()) or "no gate"


def why(run: Run) -> str:
    """The nodes that failed, with their reasons."""
    failed = {name: node.failed for name, node in run.nodes.items() if node.failed}
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items()) or "nothing failed"
