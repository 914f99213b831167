"""`python -m tests.validators.data.data_docs FOLDER`: what the installed Great Expectations makes
of `result.json` there, as JSON; and what it finds in `data.parquet` by `compared.json` itself.

A process of its own, as its import takes seconds and warns.
"""

import json
import logging
import re
import sys
import warnings
from html import unescape
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Print what it reads, the page of Data Docs, what it logged about it, and its own results."""
    warnings.simplefilter("ignore")
    from great_expectations.core.expectation_validation_result import (
        expectationSuiteValidationResultSchema,
    )

    logged: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    result: Any = expectationSuiteValidationResultSchema.load(
        json.loads((folder / "result.json").read_text())
    )
    page = _page(folder, result)
    told = {
        "again": result.to_json_dict(),
        "asset": result.asset_name,
        "severity": str(result.get_max_severity_failure().value),
        "page": page,
        "logged": logged,
        "theirs": _theirs(folder),
    }
    sys.stdout.write(json.dumps(told))


def _page(folder: Path, result: Any) -> str:
    """The text of the page that Data Docs makes."""
    import great_expectations as gx
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    context = gx.get_context(mode="file", project_root_dir=folder)
    key = ValidationResultIdentifier(
        ExpectationSuiteIdentifier(result.suite_name), RunIdentifier(run_name="r-12"), "flights"
    )
    context.validation_results_store.set(key, result)
    context.build_data_docs()
    (page,) = (folder / "gx/uncommitted/data_docs/local_site/validations").rglob("*.html")
    text = re.sub(r"<(script|style).*?</\1>", " ", page.read_text(), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def _theirs(folder: Path) -> list[Any]:
    """What it finds itself, an expectation at a time."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    asset = (
        gx.get_context(mode="ephemeral").data_sources.add_pandas("p").add_dataframe_asset("flights")
    )
    frame = pd.read_parquet(folder / "data.parquet")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    asked = json.loads((folder / "compared.json").read_text())
    built = [ExpectationConfiguration(**one).to_domain_obj() for one in asked]
    found = [batch.validate(one, result_format="BASIC").to_json_dict() for one in built]
    return [{**one, "success": bool(one["success"])} for one in found]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
