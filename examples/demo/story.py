"""The story, act by act. Each act returns, in a sentence, what was seen."""

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
    """One act."""

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

    say("all gates passed; staging, smoke, and as there is no baseline, production")
    await world.serves(1)
    file = world.file()
    expect(file.model and file.model.version == 1, "v1 on the environments branch", file.model)
    expect(file.model and file.model.commit == commit, f"commit {commit[:10]} there", file.model)
    answer = await ask(await world.address())
    expect(answer["predictions"], "a prediction", answer)
    await world.noted(commit, "data.flights", "model")
    say("callers begin to ask about real flights")
    await world.start_traffic()
    late = answer["predictions"][0]["p_late"]
    return f"v1 serves ({run.id}: {gates(run)}); it says {late:.0%} late. Branch: {top(world)}"


async def only_what_depends(world: World, say: Say) -> str:
    """A commit runs what it changes, and nothing else."""
    say("a commit that touches only the docs")
    with (world.pipeline / "README.md").open("a") as readme:
        readme.write("\nQuestions: ask @flights-ml.\n")
    docs = world.push("Say whom to ask")
    await world.noted(docs, "nothing to run")
    expect(await world.newest_run() == 1, "no run for the docs", await world.newest_run())

    say("a commit that changes a parameter: more trees")
    world.edit("ml-pipeline.yaml", "rounds: 60", "rounds: 80")
    world.push("Grow 80 trees")
    run = await passed(world, 2)
    phases = {name: phase(run, name) for name in run.nodes}
    expect(phases["gate.data.flights"] == "cached", "no second look at the same data", phases)
    expect(phases["train"] == "succeeded", "a new training", phases)
    say("retrained, and better or equal: a canary under the callers' requests")
    await world.serves(2)
    return "the docs ran nothing; 80 trees retrained the model, the data gate was not run again"


async def new_month(world: World, say: Say) -> str:
    """New data is a new model, if it is no worse than the one before on the same flights."""
    say("April lands in the bucket")
    world.delivery.deliver(world.data.month(4))
    run = await passed(world, 3)
    expect(run.trigger.kind == "data", "a run because of data", run.trigger.why)
    expect(run.baseline == 2, "a comparison with v2", f"the baseline {run.baseline}")
    say("v3 against v2 on April's flights: passed; a canary takes its share of the traffic")
    await world.canary()
    await world.serves(3)
    file = world.file()
    expect(file.verdicts.get("canary") is Verdict.PASS, "the canary's verdict", file.verdicts)
    judged = next((e for e in file.evidence if e["signal"] == "errors"), None)
    expect(judged, "what the judge saw, in the commit", file.evidence)
    return (
        f"v3 was promoted on {judged['n']:,} canary requests. Branch: {top(world)}"
        if judged
        else ""
    )


async def poisoned_month(world: World, say: Say) -> str:
    """Bad data reaches neither training nor production, and somebody is told where it is bad."""
    before, heard = top(world), len(world.oncall.told)
    say("May lands: keys are null, a column is gone, distances are negative")
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
    say("on-call was told which columns are wrong; the delivery is taken back")
    world.delivery.withdraw(world.data.poisoned(5))
    await passed(world, 5)
    await world.seen(
        lambda: world.oncall.alerts("gate", "resolved", since=heard), "the end of the alert"
    )
    return "the data gate named flight_id, carrier and distance to on-call; production untouched"


async def worse_model(world: World, say: Say) -> str:
    """A commit that makes the model worse goes no further than the model gate."""
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
    expect(phase(run, "train") == "cached", "no training for what is known", phase(run, "train"))
    return "the model gate failed on roc_auc against v3; the reverted commit trained nothing again"


async def bad_server(world: World, say: Say) -> str:
    """What passes smoke and fails under load is taken back by the canary."""
    heard = len(world.oncall.told)
    say("a commit makes the server fail once it has met 32 destinations")
    git(world.pipeline, "apply", str(EXAMPLE / "variants" / "fails-under-load.patch"))
    world.push("Refuse destinations that cannot be airports")
    await passed(world, 8)
    say("the smoke request passes; the canary meets real callers")
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
    await asyncio.sleep(2)  # a second notification would be one too many
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
    """A human reverts a promotion in git, and production follows."""
    say("the server is mended, and goes the same way")
    world.edit("serve.py", "self._checked.popitem(last=False)", "self._checked.clear()")
    world.push("Forget all destinations at once")
    await passed(world, 9)
    mended = (await world.canary()).rollout
    assert mended is not None
    await world.serves(mended.version.version)
    promotion = top(world)

    say(f"somebody trusts it not yet: `git revert` of {promotion!r}")
    began = time.monotonic()
    world.revert_release()
    env = await world.serves(3)
    assert env.stable is not None
    await world.until_routed(server_name(env.place, env.stable))
    seconds = time.monotonic() - began
    await no_failure_by_stable(world)
    return f"production was back at v3 {seconds:.1f} s after the push of a `git revert`"


async def killed(world: World, say: Say) -> str:
    """`kill -9` costs time, and nothing else."""
    say("May lands, in order this time")
    world.delivery.deliver(world.data.month(5))
    await world.until_phase(10, "train", "running")
    world.kill_controller()
    say("`kill -9` in the middle of the training; production answers; start again")
    await still_answered(world)
    await world.start_controller()
    run = await passed(world, 10)
    twice = {name: n for name, n in attempts_of(run).items() if n > 1}
    expect(not twice, "every step run once", twice)

    env = await world.canary()
    assert env.rollout is not None
    number = env.rollout.version.version
    await world.until_canary_requests(200)
    world.kill_controller()
    say("`kill -9` in the middle of the canary; both servers answer; start again")
    await still_answered(world)
    await world.start_controller()
    await world.serves(number)
    promotions = [line for line in world.releases() if f"promote v{number} " in line]
    expect(len(promotions) == 1, f"one promotion of v{number}", promotions)
    expect(await world.newest_run() == 10, "ten runs in all", await world.newest_run())
    await no_failure_by_stable(world)
    return (
        f"the run and the canary of v{number} went on; every step ran once, one promotion, "
        f"{world.traffic().total:,} requests in all, none failed at a stable model"
    )


ACTS = (
    Act("From a commit to production", first_release),
    Act("Run what a commit changes, and nothing else", only_what_depends),
    Act("A new month, retrained, compared, promoted by canary", new_month),
    Act("A poisoned month is stopped by the data gate", poisoned_month),
    Act("A worse model is stopped by the model gate", worse_model),
    Act("A server that fails under load is rolled back", bad_server),
    Act("A human reverts a promotion in git", revert_by_hand),
    Act("kill -9 in training and in the canary", killed),
)


async def passed(world: World, number: int) -> Run:
    """Wait for a run to end, and well."""
    run = await world.ended(number)
    if run.outcome != "passed":
        raise Unexpected(f"run {run.id} to pass", f"{run.outcome}: {gates(run)}, {why(run)}")
    return run


async def no_failure_by_stable(world: World) -> None:
    """Every request since the callers began got an answer, and every one of stable's is 200.

    The router counts by arm, and is the one that it was; what callers saw has to agree with it.
    """
    router = await world.router()
    expect(router.epoch == world.epoch, "one router through the whole story", router.epoch)
    stable, canary = (router.answers.get(arm, {}) for arm in ("stable", "canary"))
    expect(set(stable) == {"200"}, "every answer of stable to be 200", stable)
    seen = world.traffic().statuses
    expect(set(seen) <= {200, 500}, "an answer to every request", dict(seen))
    expect(seen[500] <= canary.get("500", 0), "no failure but the canary's", (dict(seen), canary))


async def still_answered(world: World) -> None:
    """Callers get 200 while there is no controller."""
    before = world.traffic()
    await asyncio.sleep(1.5)
    after = world.traffic()
    new = after.statuses - before.statuses
    expect(new[200] and set(new) == {200}, "answers without a controller", new)


async def ask(address: str) -> dict[str, list[dict[str, float]]]:
    """One real request to production."""
    body = (EXAMPLE / "smoke" / "request.json").read_bytes()
    request = urllib.request.Request(f"{address}/predict", body)  # noqa: S310 - our own address
    with await asyncio.to_thread(urllib.request.urlopen, request, timeout=10) as answer:
        said: dict[str, list[dict[str, float]]] = json.load(answer)
        return said


def top(world: World) -> str:
    """The newest commit that changed production."""
    releases = world.releases()
    return releases[0].partition(" ")[2] if releases else ""


def gates(run: Run) -> str:
    """The verdicts of a run's gates."""
    return ", ".join(f"{gate} {verdict}" for gate, verdict in run.verdicts.items()) or "no gate"


def why(run: Run) -> str:
    """What failed, with the reason."""
    failed = {name: node.failed for name, node in run.nodes.items() if node.failed}
    return "; ".join(f"{name}: {reason}" for name, reason in failed.items()) or "nothing failed"
