"""PURE. Guesses what an option of a script is for, from its name, its default and its script."""

import re
from pathlib import PurePosixPath
from typing import Final, Literal

from controller.cli.write.drafts.values import Folder, Option, Role, Script

Meaning = Literal[
    "data", "model", "model_out", "data_out", "predictions", "metrics", "port", "host", "param",
    "file", "left_out", "unknown",
]  # fmt: skip
"""`model` is an existing model, `file` a file of the repository. `left_out` options are not given,
since they have a default or are not required."""

_OUT: Final = {"out", "output", "save", "dest", "destination", "export", "result", "results"}
_METRICS: Final = {"metrics", "metric", "report"}
_PREDICTIONS: Final = {"predictions", "prediction", "preds", "pred", "predicted", "scored"}
_MODEL: Final = {"model", "checkpoint", "ckpt", "weights", "artifact", "estimator", "classifier"}
_DATA: Final = {
    "data", "dataset", "datasets", "input", "inputs", "csv", "parquet", "source", "src", "train",
    "test", "valid", "validation", "val", "eval", "raw", "in", "infile", "file", "path", "dir",
    "folder", "table", "x",
}  # fmt: skip
_ABOUT: Final = {
    "type", "name", "kind", "class", "version", "size", "dim", "split", "ratio", "fraction", "col",
    "cols", "column", "columns", "epochs", "steps", "batch", "seed", "label", "target", "format",
    "key", "mode",
}  # fmt: skip
"""Words of options that describe data or models but do not name a file."""


def meaning(option: Option, role: Role, folder: Folder, script: Script) -> Meaning:
    """What an option of a script is for."""
    words = set(re.split(r"[_\W]+", option.dest.lower()))
    if option.is_switch:
        return "left_out"
    if words & {"port"}:
        return "port" if role == "serve" else _plain(option)
    if words & {"host", "bind", "address", "addr"}:
        return "host" if role == "serve" else _plain(option)
    if isinstance(option.default, str) and option.default.removeprefix("./") in folder.known:
        if not _holds_data(option.default):
            return "file"
    elif option.default is not None and not _is_path(option.default):
        is_folder = isinstance(option.default, str) and bool(folder.below(option.default))
        if not is_folder:
            return "param"
    place = _place(words, role)
    if place == "predictions" and script.numbers and not script.calls & _WRITERS.keys():
        return "metrics"  # it writes a dictionary, not a table
    return place or _plain(option)


def _place(words: set[str], role: Role) -> Meaning | None:
    """What an option that names a file or folder is for."""
    if words & _ABOUT:
        return None
    if words & _METRICS:
        return "metrics"
    if words & _PREDICTIONS:
        return "predictions"
    if words & _MODEL:
        if role in ("evaluate", "serve"):
            return "model"
        return "model_out" if role == "train" else None
    if words & _OUT:
        outs: dict[Role, Meaning] = {
            "train": "model_out", "evaluate": "predictions", "prepare": "data_out",
        }  # fmt: skip
        return outs.get(role)
    return "data" if words & _DATA and role != "serve" else None


def _plain(option: Option) -> Meaning:
    if option.default is not None and not _is_path(option.default):
        return "param"
    return "unknown" if option.required else "left_out"


def _is_path(default: object) -> bool:
    return isinstance(default, str) and ("/" in default or bool(PurePosixPath(default).suffix))


def _holds_data(path: str) -> bool:
    return PurePosixPath(path).suffix in (".csv", ".parquet", ".tsv", ".json", ".jsonl", ".gz")


_WRITERS: Final = {
    "to_parquet": ".parquet", "write_parquet": ".parquet", "write_table": ".parquet",
    "to_csv": ".csv", "write_csv": ".csv", "writerow": ".csv", "savetxt": ".csv",
}  # fmt: skip


def file_of(what: Meaning, script: Script, option: Option | None) -> str:
    """The file name of an output: from the default of the option, else from the calls that write
    it."""
    if option is not None and isinstance(option.default, str) and _is_path(option.default):
        return PurePosixPath(option.default).name or what
    if what == "metrics":
        return "metrics.json"
    if what in ("predictions", "data_out"):
        ending = next((end for call, end in _WRITERS.items() if call in script.calls), None)
        table = "predictions" if what == "predictions" else "data"
        return f"{table}{ending or '.parquet'}"
    return _model_file(script)


def _model_file(script: Script) -> str:
    texts = set(script.constants)
    if "save_pretrained" in script.calls or any(text.startswith("mlflow.") for text in texts):
        return "model"
    if "save" in script.calls and "backward" in script.calls:
        return "model.pt"
    if "save_model" in script.calls or ("dumps" in script.calls and "write_text" in script.calls):
        return "model.json"
    return "model.joblib"
