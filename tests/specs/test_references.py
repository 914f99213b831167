"""References, and commands whose values never become shell."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.references import (
    DatasetReference,
    Placeholder,
    StepReference,
    TemplateError,
    as_argument,
    parse_reference,
    parse_run,
    placeholders,
    render,
)
from tests.specs.steady import steady

VALUES = st.text(st.characters(exclude_characters="\0"))


def test_references_name_a_dataset_or_an_output() -> None:
    assert parse_reference("datasets.flights") == DatasetReference("flights")
    assert parse_reference("steps.train.model") == StepReference("train", "model")
    assert str(parse_reference("steps.train.model")) == "steps.train.model"


@pytest.mark.parametrize(
    "text", ["flights", "datasets", "datasets.", "datasets.a.b", "steps.train", "steps.a.b.c",
             "steps..model", "datasets.a b", "datasets.a\n", 3, None],
)  # fmt: skip
def test_other_texts_are_not_references(text: object) -> None:
    with pytest.raises(ValueError, match="expected a reference"):
        parse_reference(text)


def test_a_command_is_split_like_a_shell_line_and_then_filled_in() -> None:
    argv = render(
        "python train.py --data {inputs.flights} --name='late flights' --out={outputs.model}",
        {"inputs.flights": "/data/a b", "outputs.model": "/out/$(reboot); #"},
    )
    assert argv == (
        "python", "train.py", "--data", "/data/a b", "--name=late flights",
        "--out=/out/$(reboot); #",
    )  # fmt: skip


@steady
@given(VALUES)
def test_a_value_is_never_split_and_never_expanded(value: str) -> None:
    argv = render("cmd {inputs.a} --b={params.b}c", {"inputs.a": value, "params.b": value})
    assert argv == ("cmd", value, f"--b={value}c")


@steady
@given(VALUES)
def test_braces_in_a_value_are_not_placeholders(value: str) -> None:
    assert render("cmd {params.a}", {"params.a": "{" + value + "}"}) == ("cmd", "{" + value + "}")


def test_a_real_process_receives_the_value_as_one_argument() -> None:
    nasty = "a b'c\"d $HOME `id` ; rm -rf / \n *"
    show = "import sys; print(len(sys.argv)); sys.stdout.write(sys.argv[1])"
    argv = render(
        f"{sys.executable} -c {{params.show}} {{params.x}}",
        {"params.show": show, "params.x": nasty},
    )
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n" + nasty


def test_doubled_braces_are_braces() -> None:
    argv = render("""cmd '{{"depth": {params.depth}}}'""", {"params.depth": "6"})
    assert argv == ("cmd", '{"depth": 6}')


def test_placeholders_are_listed_once_in_order() -> None:
    found = placeholders("x {model} --port {port} {model} {params.max_depth}")
    assert [str(each) for each in found] == ["{model}", "{port}", "{params.max_depth}"]
    assert found[2] == Placeholder("params", "max_depth")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "the command is empty"),
        ("python 'x", "no closing quotation"),
        ("python {inputs.x", "unpaired {"),
        ("python }", "unpaired }"),
        ("python {input.x}", "is not a placeholder"),
        ("python {}", "is not a placeholder"),
        ("python {model.x}", "is not a placeholder"),
        ("python {inputs}", "is not a placeholder"),
        ("python {inputs.a.b}", "is not a placeholder"),
    ],
)
def test_a_bad_template_says_what_is_wrong(template: str, words: str) -> None:
    with pytest.raises(TemplateError, match=words):
        parse_run(template)


def test_a_missing_value_and_a_nul_byte_are_rejected() -> None:
    with pytest.raises(TemplateError, match=r"no value for \{port\}"):
        render("x {port}", {})
    with pytest.raises(TemplateError, match="NUL"):
        render("x {port}", {"port": "a\0b"})


@steady
@given(st.text())
def test_any_text_is_a_command_or_a_template_error(text: str) -> None:
    try:
        words = parse_run(text)
    except TemplateError:
        return
    assert words


def test_parameters_look_as_in_the_file() -> None:
    assert [as_argument(value) for value in (True, 6, 0.1, "x y")] == ["true", "6", "0.1", "x y"]
