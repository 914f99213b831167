"""Steps that really run on a cluster, in pods of the double; the contract is in `test_contract`."""

import pytest

from controller.machine.runs.attempt import AttemptState, Input
from tests.contracts.executor import (
    SECRET,
    becomes,
    ends,
    gate,
    lines,
    printed,
    run,
    until,
)
from tests.controller.executors.kubernetes_site import KubernetesSite
from tests.controller.executors.test_kubernetes import jobs, pods, running, seen
from tests.servers.moto import Moto

pytestmark = pytest.mark.bwrap


async def test_a_step_is_confined_and_never_given_the_credentials_of_the_store(
    kubernetes_site: KubernetesSite,
) -> None:
    numbers = await kubernetes_site.dataset({"a.csv": "1"})
    attempt = kubernetes_site.attempt(
        "sh -c 'id -u; env; touch {inputs.numbers}/x; touch /x; ls /headgate; exit 1'",
        inputs={"numbers": numbers},
        secrets=("KEY",),
    )
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.FAILED
        said = await printed(executor, attempt)
    assert said.startswith("65532\n")
    assert "AWS_" not in said
    assert "HEADGATE_STORE" not in said
    assert said.count("Read-only file system") == 2
    assert "whole" not in said
    assert SECRET not in said
    assert "KEY=***" in said


async def remote_dataset(site: KubernetesSite, moto: Moto) -> Input:
    """A dataset of two objects beside the artifacts."""
    bucket = site.remote.uri.split("/")[2]
    for key, text in {"data/a.csv": b"1", "data/deep/b.csv": b"2", "other.csv": b"3"}.items():
        moto.client("s3").put_object(Bucket=bucket, Key=key, Body=text)
    uri = f"s3://{bucket}/data/**"
    listing = await site.catalog.list(uri)
    return Input(kind="dataset", digest=listing.manifest.digest, name="numbers", uri=uri)


async def test_a_dataset_in_an_object_store_is_fetched_by_the_pod_and_not_by_the_controller(
    kubernetes_site: KubernetesSite, moto: Moto
) -> None:
    numbers = await remote_dataset(kubernetes_site, moto)
    attempt = kubernetes_site.attempt(
        "sh -c 'cd {inputs.numbers}; find . -type f | sort; cat a.csv; stat -c %A . a.csv'",
        inputs={"numbers": numbers},
    )
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        said = (await printed(executor, attempt)).split()
    assert said[:2] == ["./a.csv", "./deep/b.csv"]
    assert said[2].startswith("1dr-x")
    assert "w" not in "".join(said[2:])
    assert not list(kubernetes_site.folder.parent.glob("datasets/remote/*"))


async def test_an_object_that_was_replaced_before_the_pod_read_it_begins_the_run_anew(
    kubernetes_site: KubernetesSite, moto: Moto
) -> None:
    numbers = await remote_dataset(kubernetes_site, moto)
    bucket = kubernetes_site.remote.uri.split("/")[2]
    moto.client("s3").put_object(Bucket=bucket, Key="data/a.csv", Body=b"other")
    attempt = kubernetes_site.attempt("ls {inputs.numbers}", inputs={"numbers": numbers})
    async with kubernetes_site.open() as executor:
        status = await run(executor, attempt)
    assert status.state is AttemptState.DATA_CHANGED
    assert "data/a.csv" in status.message


async def test_nothing_is_left_of_a_step_that_succeeded_but_its_outputs_and_log(
    kubernetes_site: KubernetesSite,
) -> None:
    attempt = kubernetes_site.attempt(
        "sh -c 'echo $KEY; mkdir -p {outputs.all}; echo 1 > {outputs.all}/a'",
        outputs={"all": "all"},
        folders=("all",),
        secrets=("KEY",),
    )
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        (found,) = (await executor.collect(attempt)).values()
        await seen(lambda: not jobs(kubernetes_site) and not pods(kubernetes_site))
        secrets = kubernetes_site.cluster.all("Secret", "headgate")
        assert [each["metadata"]["name"] for each in secrets] == ["store-credentials"]
        assert await printed(executor, attempt) == "***\n"
        assert await executor.collect(attempt) == {"all": found}
    assert await kubernetes_site.artifacts.has(found)


async def test_a_link_in_the_place_of_an_output_is_refused(kubernetes_site: KubernetesSite) -> None:
    attempt = kubernetes_site.attempt(
        "ln -s /etc/passwd {outputs.model}", outputs={"model": "model.txt"}
    )
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        with pytest.raises(Exception, match="symbolic link"):
            await executor.collect(attempt)


async def test_many_outputs_are_told_by_an_artifact(kubernetes_site: KubernetesSite) -> None:
    names = {f"o{n}": f"o{n}.txt" for n in range(60)}
    attempt = kubernetes_site.attempt(
        f"sh -c 'cd {{root}}/../outputs; for n in $(seq 0 {len(names) - 1}); do echo $n > o$n.txt; "
        "done'",
        outputs=names,
    )
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        found = await executor.collect(attempt)
    assert found.keys() == names.keys()
    assert await kubernetes_site.stored(found["o59"]) == "59\n"


async def test_a_controller_that_lost_its_disk_finds_the_job_again(
    kubernetes_site: KubernetesSite,
) -> None:
    attempt = kubernetes_site.attempt(gate(kubernetes_site.folder, "a"))
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    for path in kubernetes_site.workspace.folder(attempt.id).iterdir():
        if path.is_file():
            path.unlink()
    async with kubernetes_site.open(stray=0.0) as executor:
        assert (await executor.poll(attempt.id)).state is AttemptState.UNKNOWN
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        (kubernetes_site.folder / "a.go").touch()
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
    assert lines(kubernetes_site.folder / "began") == ["a"]


async def test_a_log_goes_on_where_the_last_controller_left_it(
    kubernetes_site: KubernetesSite,
) -> None:
    go = kubernetes_site.folder / "go"
    wait = f"until [ -e {go} ]; do sleep 0.02; done"
    attempt = kubernetes_site.attempt(f"sh -c 'echo one; echo two; {wait}; echo three'")
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)

        async def told() -> bool:
            return await printed(executor, attempt) == "one\ntwo\n"

        await until(told)  # while it runs
    async with kubernetes_site.open() as executor:
        await becomes(executor, attempt, AttemptState.RUNNING)
        go.touch()
        await ends(executor, attempt)
        assert await printed(executor, attempt) == "one\ntwo\nthree\n"


async def test_a_step_that_ran_out_of_memory_is_told_so(kubernetes_site: KubernetesSite) -> None:
    attempt = kubernetes_site.attempt("sleep 600")
    async with kubernetes_site.open() as executor:
        pod = await running(kubernetes_site, executor, attempt)
        kubernetes_site.cluster.nodes.oom_kill(*pod, "step")
        status = await ends(executor, attempt)
    assert (status.state, status.exit_code) == (AttemptState.OUT_OF_MEMORY, 137)
    assert "resources.memory" in status.message


async def test_the_next_controller_enforces_what_is_left_of_a_timeout(
    kubernetes_site: KubernetesSite,
) -> None:
    attempt = kubernetes_site.attempt("sh -c 'echo begun; sleep 600'", timeout=3.0)
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    async with kubernetes_site.open() as executor:
        assert (await ends(executor, attempt)).state is AttemptState.TIMED_OUT
        assert await printed(executor, attempt) == "begun\n"
    await seen(lambda: not pods(kubernetes_site))
