"""PURE. Makes steps and servers of scripts and notebooks: command, inputs and outputs."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from controller.cli.write.drafts.commands import line, word
from controller.cli.write.drafts.imports import module_of, reads_of
from controller.cli.write.drafts.options import Meaning, file_of, meaning
from controller.cli.write.drafts.values import (
    Data,
    DraftServer,
    DraftStep,
    Folder,
    Option,
    Role,
    Script,
)
from specs.base import Scalar

_MODELS = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".onnx", ".json", ".h5", ".keras", ".bin",
           ".cbm", ".txt", ".ubj", ".safetensors")  # fmt: skip
_HEALTH = ("/healthz", "/health", "/readyz", "/ready", "/livez", "/ping", "/")
_PREDICT = ("/predict", "/invocations", "/score", "/infer", "/v1/predict", "/predictions")


@dataclass(frozen=True, slots=True)
class Around:
    """What a step can use."""

    data: str
    """`datasets.data`, or the output of a step that prepares it."""
    of: Data
    label: str | None = None
    """The column to predict."""
    model: str | None = None
    """`steps.train.model`."""


def of_script(
    folder: Folder, script: Script, role: Role, around: Around
) -> tuple[DraftStep, dict[str, Scalar]]:
    """The step that runs a script or a notebook, and the parameters that it takes."""
    given = _Given(folder, script, role, around)
    for option in script.options:
        given.take(option)
    given.assume()
    reads, paths = reads_of(folder, script.path)
    paths = _with_own(folder, script, paths)
    step = DraftStep(
        line(_command(given), given.links, given.copies),
        given.inputs,
        given.outputs,
        reads,
        _environment(paths),
        tuple(given.said),
    )
    return step, given.params


class _Given:
    """Collects the values for the options of a script, one by one."""

    def __init__(self, folder: Folder, script: Script, role: Role, around: Around) -> None:
        self.folder, self.script, self.role, self.around = folder, script, role, around
        self.words: list[tuple[Option, str]] = []
        self.inputs: dict[str, str] = {}
        self.outputs: dict[str, str] = {}
        self.params: dict[str, Scalar] = {}
        self.links: dict[str, str] = {}
        self.copies: dict[str, str] = {}
        self.said: list[str] = []

    def take(self, option: Option) -> None:
        """Choose the value for an option."""
        what = meaning(option, self.role, self.folder, self.script)
        if what == "left_out":
            return
        self.words.append((option, self._value(option, what)))

    def _value(self, option: Option, what: Meaning) -> str:
        match what:
            case "data":
                self.inputs["data"] = self.around.data
                return "{inputs.data}" + self._file(option)
            case "model" if self.around.model is not None and self.role != "serve":
                self.inputs["model"] = self.around.model
                return "{inputs.model}"
            case "model":
                return "{model}"
            case "model_out" | "data_out" | "predictions" | "metrics":
                return self._output(what, option)
            case "port" | "host":
                return f"{{{what}}}"
            case "param" if option.default is not None and self.role != "serve":
                self.params[option.dest] = option.default
                return f"{{params.{option.dest}}}"
            case "param" | "file":
                return word(str(option.default))
            case _ if self.around.label and re.search(r"label|target", option.dest):
                self.said.append(f"{option.flag or option.dest}, from the columns of the data")
                return word(self.around.label)
            case _:
                called = option.flag or option.dest
                self.said.append(f"TODO: the value of {called} of {self.script.path}")
                return "TODO"

    def _output(self, what: Meaning, option: Option | None) -> str:
        usual = {"model_out": "model", "data_out": "data"}.get(what, str(what))
        name = usual if usual not in self.outputs else (option.dest if option else f"{usual}_2")
        file = file_of(what, self.script, option)
        self.outputs[name] = file if file not in self.outputs.values() else f"{name}/{file}"
        return f"{{outputs.{name}}}"

    def _file(self, option: Option) -> str:
        """`/rows.csv` if the script reads a single file of a dataset."""
        if option.dest not in self.script.opens or not self.around.data.startswith("datasets."):
            return ""
        if self.around.of.file is not None:
            return f"/{self.around.of.file}"
        self.said.append(
            f"TODO: {self.script.path} opens {option.flag or option.dest} as one file, and "
            "{inputs.data} is the folder of the dataset's files"
        )
        return ""

    def assume(self) -> None:
        """Assume inputs and outputs that no option names, such as fixed paths in the script."""
        wanted: dict[Role, Meaning] = {
            "prepare": "data_out", "train": "model_out", "evaluate": "predictions",
        }  # fmt: skip
        if not self.script.options and not self.script.calls:
            self._usual()
            return
        if "data" not in self.inputs and self.role != "serve":
            self._link()
        if not self.outputs and self.role in wanted:
            self._copy(wanted[self.role])

    def _usual(self) -> None:
        """For a script without options or calls: an example of how it could be called."""
        usual: dict[Role, tuple[str, ...]] = {
            "prepare": ("data", "out"), "train": ("data", "out"),
            "evaluate": ("model", "data", "out"), "serve": ("model", "host", "port"),
        }  # fmt: skip
        for name in usual[self.role]:
            self.take(Option(f"--{name}", name, required=True))
        if self.role != "serve":
            self.said.append("TODO: use the arguments of your script; {...} is filled in")

    def _link(self) -> None:
        """Link data and models to the fixed paths that the script reads."""
        files = {text.removeprefix("./").rstrip("/") for text in self.script.constants}
        data = sorted(path for path in files if self._is_data(path))
        for path in data:
            self.inputs["data"] = self.around.data
            inside = "" if self.folder.below(path) else f"/{PurePosixPath(path).name}"
            self.links[path] = "{inputs.data}" + inside
        models = [path for path in sorted(files) if self.role == "evaluate" and _is_model(path)]
        if models and self.around.model is not None and "model" not in self.inputs:
            self.inputs["model"] = self.around.model
            self.links[models[0]] = "{inputs.model}"

    def _is_data(self, path: str) -> bool:
        base = (self.around.of.uri or "").removeprefix("file://./").partition("*")[0].rstrip("/")
        if not base:
            return path in self.folder.known and path.endswith((".csv", ".parquet"))
        there = path in self.folder.known or bool(self.folder.below(path))
        return there and (path == base or path.startswith(f"{base}"))

    def _copy(self, what: Meaning) -> None:
        """Copy an output from the fixed path that the script writes."""
        fits = _is_model if what == "model_out" else _is_table
        path = next((path for path in self.script.writes if fits(path)), None)
        if path is None:
            called = "its model" if what == "model_out" else "its output"
            self.said.append(f"TODO: where {self.script.path} writes {called}")
            self._output(what, None)
            return
        to = self._output(what, Option("", "", path))
        self.copies[path.removeprefix("./")] = to


def _is_model(path: str) -> bool:
    return PurePosixPath(path).suffix in _MODELS and "metric" not in path


def _is_table(path: str) -> bool:
    return PurePosixPath(path).suffix in (".csv", ".parquet", ".json", ".jsonl")


def _command(given: _Given) -> str:
    script = given.script
    if script.path.endswith(".ipynb"):
        given.outputs["notebook"] = "notebook.ipynb"
        words = ["papermill", word(script.path), "{outputs.notebook}"]
        words += [f"-p {option.dest} {value}" for option, value in given.words]
        return " ".join(words)
    module = module_of(given.folder, script.path)[1] if script.is_module else ""
    words = ["python", f"-m {module}" if module else word(script.path)]
    words += [script.subcommand] if script.subcommand else []
    words += [f"{option.flag} {value}".strip() for option, value in given.words]
    return " ".join(words)


def _with_own(folder: Folder, script: Script, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Add the folder above the script's package; the working folder is always on the path."""
    root = module_of(folder, script.path)[0] if script.is_module else ""
    return tuple(dict.fromkeys(filter(None, (root, *paths))))


def _environment(paths: tuple[str, ...]) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(paths)} if paths else {}


def of_server(folder: Folder, script: Script) -> DraftServer:
    """The model server that a script starts."""
    reads, paths = reads_of(folder, script.path)
    paths = _with_own(folder, script, paths)
    told = next((name for name in script.environ if "MODEL" in name.upper()), None)
    said: list[str] = []
    if script.app is not None and not any(o.dest == "port" for o in script.options):
        run = _web_application(script)
    else:
        given = _Given(folder, script, "serve", Around("", Data(None)))
        for option in script.options:
            given.take(option)
        given.assume()
        run, said = _command(given), given.said
    if "{port}" not in run:
        said.append(f"TODO: {script.path} has to listen on {{port}}")
        run += " --port {port}"
    if "{model}" not in run:
        run = f"env {told or 'MODEL'}={{model}} {run}"
        if told is None:
            said.append(f"TODO: {script.path} has to load the model that MODEL names")
    paths_of = [text for text in script.constants if re.fullmatch(r"/[\w/.-]*", text)]
    return DraftServer(
        run,
        next((path for path in _HEALTH if path in paths_of), "/healthz"),
        next((path for path in _PREDICT if path in paths_of), "/predict"),
        reads,
        _environment(paths),
        tuple(said),
    )


def _web_application(script: Script) -> str:
    module = script.path.removesuffix(".py").replace("/", ".")
    if script.framework == "wsgi":
        return f"flask --app {module}:{script.app} run --host {{host}} --port {{port}}"
    return f"uvicorn {module}:{script.app} --host {{host}} --port {{port}}"
