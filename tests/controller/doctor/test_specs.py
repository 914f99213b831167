"""`headgate doctor` looks at the stores of datasets and at the Docker Engine, where specs ask."""

from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.doctor.findings import Finding
from controller.doctor.specs import examine_specs
from specs.loading.load import load
from specs.model import Pipeline
from tests.controller.cli.conftest import Desk, desk  # noqa: F401 - a fixture
from tests.servers.moto import Moto, demand_credentials, take_any_credentials

pytestmark = pytest.mark.usefixtures("aws")

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flights}
datasets:
  numbers: {uri: "URI"}
steps:
  train:
    run: python train.py --out {outputs.model}
    inputs: {numbers: datasets.numbers}
    outputs: {model: model.json}
    STEP
model: steps.train.model
"""


def spec(uri: str, step: str = "") -> Pipeline:
    loaded = load(SPEC.replace("URI", uri).replace("STEP", step), "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


async def found(tmp_path: Path, *specs: Pipeline, **settings: Any) -> list[Finding]:
    whole = Settings.model_validate(
        {"repositories": [{"name": "team", "url": "remote.git"}], **settings}
    )
    return [each async for each in examine_specs(whole, tmp_path, specs)]


async def test_a_dataset_that_can_be_read_is_found_good_and_an_empty_one_is_told_of(
    moto: Moto, tmp_path: Path
) -> None:
    bucket = moto.bucket()
    moto.client("s3").put_object(Bucket=bucket, Key="full/a.csv", Body=b"1")
    stores = [{"uri": f"s3://{bucket}", "endpoint": moto.url}]
    full, empty = spec(f"s3://{bucket}/full/*.csv"), spec(f"s3://{bucket}/empty/*.csv")
    good, none = await found(tmp_path, full, full, empty, stores=stores)
    assert (good.state, good.message) == ("ok", f"s3://{bucket}/full can be listed and read")
    assert good.what == "dataset flights/numbers, flights/numbers"
    assert (none.state, none.message) == ("warning", f"s3://{bucket}/empty holds no object")


async def test_a_dataset_whose_credentials_are_refused_is_an_error_with_its_fix(
    moto: Moto, tmp_path: Path
) -> None:
    bucket = moto.bucket()
    demand_credentials()
    try:
        stores = [{"uri": f"s3://{bucket}", "endpoint": moto.url}]
        [finding] = await found(tmp_path, spec(f"s3://{bucket}/numbers"), stores=stores)
    finally:
        take_any_credentials()
    assert finding.state == "error"
    assert "rejected the credentials" in finding.message
    assert "AWS_ACCESS_KEY_ID" in finding.message


async def test_a_store_that_no_dataset_is_in_is_looked_at_by_itself(
    moto: Moto, tmp_path: Path
) -> None:
    stores = [{"uri": "s3://nobody-made-this", "endpoint": moto.url}]
    [finding] = await found(tmp_path, spec("data/*.csv"), stores=stores)
    assert (finding.what, finding.state) == ("store", "error")
    assert "no such bucket" in finding.message


@pytest.mark.parametrize("step", ["image: trainer:1", "build: docker"])
async def test_an_engine_that_is_away_is_an_error_where_a_step_is_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    [finding] = await found(tmp_path, spec("data/*.csv", step))
    assert (finding.what, finding.state) == ("docker", "error")
    assert f"{tmp_path}/none.sock cannot be reached" in finding.message
    assert "docker.host" in finding.fix


async def test_an_engine_that_the_settings_name_is_asked_though_no_step_is_a_container(
    tmp_path: Path,
) -> None:
    docker = {"host": f"unix://{tmp_path}/none.sock"}
    [finding] = await found(tmp_path, spec("data/*.csv"), docker=docker)
    assert (finding.what, finding.state) == ("docker", "error")


async def test_where_nothing_is_asked_for_nothing_is_said(tmp_path: Path) -> None:
    assert await found(tmp_path, spec("data/*.csv")) == []


def test_doctor_reads_the_specs_of_the_default_branch(
    desk: Desk,  # noqa: F811 - the fixture
    moto: Moto,
) -> None:
    bucket = moto.bucket()
    moto.client("s3").put_object(Bucket=bucket, Key="numbers/a.csv", Body=b"1")
    text = SPEC.replace("URI", f"s3://{bucket}/numbers/*.csv").replace("STEP", "")
    desk.person.push({"team/ml-pipeline.yaml": text, "ml-pipeline.yaml": "no spec"})
    stores = f"stores: [{{uri: 's3://{bucket}', endpoint: '{moto.url}'}}]\n"
    desk.settings.write_text(desk.settings.read_text() + stores)
    said = desk.do("doctor").stdout
    assert f"✓ dataset flights/numbers: s3://{bucket}/numbers can be listed and read" in said
