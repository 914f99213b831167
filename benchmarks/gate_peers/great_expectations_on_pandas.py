"""`python FILE SUITE.json DATA.parquet`: a bare script that asks Great Expectations on pandas."""

import json
import os
import sys
from pathlib import Path

os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig

suite = json.loads(Path(sys.argv[1]).read_text())
wanted = {each["kwargs"].get("column") for each in suite["expectations"]} - {None}
frame = pd.read_parquet(sys.argv[2], columns=sorted(wanted))
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
batch = asset.add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
result = batch.validate(gx.ExpectationSuite(**suite), result_format="BOOLEAN_ONLY")

# The results are in another order than the expectations.
found = {}
for one in result.results:
    config = one.expectation_config
    assert config is not None
    found[config.type, config.kwargs.get("column")] = one.success
asked = [(one["type"], one["kwargs"].get("column")) for one in suite["expectations"]]
sys.stdout.write(json.dumps([bool(found[one]) for one in asked]))
