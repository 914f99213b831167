"""`headgate run` with data in S3: a commit's pipeline on a laptop, without a controller."""

from pathlib import Path

import pytest

from tests.actions.clone import change, clone, commit, headgate
from tests.scenarios.world import PIPELINE
from tests.servers.faults import Faults
from tests.servers.moto import Moto

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def work(tmp_path: Path, moto: Moto, faults: Faults) -> Path:
    """A clone whose dataset is in a bucket, beside the settings that say how it is reached."""
    bucket = moto.bucket()
    moto.client("s3").put_object(Bucket=bucket, Key="lake/a.csv", Body=b"value\n1\n2\n3\n")
    made = clone(tmp_path, PIPELINE)
    change(made, "ml-pipeline.yaml", "data/*.csv", f"s3://{bucket}/lake/*.csv")
    commit(made, "Read from the bucket")
    (tmp_path / "headgate.yaml").write_text(
        "repositories: [{name: team, url: work}]\n"
        f"stores: [{{uri: 's3://{bucket}', endpoint: '{faults.url}'}}]\n"
    )
    return made


def run(work: Path) -> str:
    done = headgate(work, "--settings", "../headgate.yaml", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_data_in_a_bucket_is_read_as_the_settings_say(work: Path) -> None:
    assert "✓ train" in run(work)


def test_a_refusal_during_a_run_is_reported_and_the_run_goes_on_once_it_is_over(
    work: Path, faults: Faults
) -> None:
    reads = 0

    def refuse_two(path: str) -> None:
        nonlocal reads
        reads += path.endswith("/lake/a.csv")
        refused = path.endswith("/lake/a.csv") and reads <= 2
        faults.always = (403, "InvalidAccessKeyId") if refused else None

    faults.before = refuse_two
    said = run(work)
    assert "/lake/a.csv rejected the credentials (403 InvalidAccessKeyId)" in said
    assert "waiting: s3://" in said
    assert "✓ train" in said
