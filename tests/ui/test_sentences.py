# ruff: noqa: RUF001  Japanese has a colon of its own
"""Errors and notices: each has its translation, and each translation is of one."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import charrnn
from charrnn.errors import CheckpointError, ConfigError, CorpusError
from charrnn.hub import explain
from charrnn.hub.explain import Failure, Kind
from charrnn.model import checkpoint
from charrnn.text import corpus
from charrnn.ui import sentences
from charrnn.ui.border import sentence_of
from charrnn.ui.sentences import pieces_of, say, values_in
from charrnn.ui.texts import FALLBACK, TABLES

ROOT = Path(charrnn.__file__).parent
TRANSLATED = sorted(set(TABLES) - {FALLBACK})
# what a page says nothing from: the command line, and what only it or a program calls
ELSEWHERE = (
    *("cli/", "card_program/", "ui/api.py", "ui/border.py", "ui/sessions.py"),
    *("trainer/bench.py", "trainer/export.py", "trainer/layers.py"),
    "ui/template.py",
)
# put together from parts, each of which has a translation
COMPOSED = {"{0} {1}"}
RAISED = {
    *("ConfigError", "CorpusError", "CheckpointError", "RunError", "HubError"),
    *("TrainingError", "CharrnnError", "_refusal"),
}


def escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def of_constant(text: str) -> str:
    """A text as a template: named places, for `str.format`, become numbers."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return escaped(text)
    if not all(name is None or name.isidentifier() for _, name, _, _ in parts):
        return escaped(text)
    numbers = iter(range(len(parts)))
    return "".join(
        escaped(part) + ("" if name is None else f"{{{next(numbers)}}}")
        for part, name, _, _ in parts
    )


def template_of(node: ast.AST) -> str | None:
    """The template of a text or f-string; None of anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return of_constant(text)
        case ast.JoinedStr(values=values):
            numbers = iter(range(len(values)))
            return "".join(
                escaped(str(part.value))
                if isinstance(part, ast.Constant)
                else f"{{{next(numbers)}}}"
                for part in values
            )
    return None


def texts_in(node: ast.AST) -> Iterator[str]:
    """The templates of all texts below a node, not those that are parts of others."""
    template = template_of(node)
    if template is not None:
        yield template
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant):
            continue
        yield from texts_in(child)


def raised_in(tree: ast.AST) -> Iterator[str]:
    """The templates of the errors that a module raises, where they stand in place."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id in RAISED and node.args:
            template = template_of(node.args[0])
            if template is not None:
                yield template


def docstrings(tree: ast.AST) -> set[str]:
    return {
        of_constant(node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def is_sentence(template: str) -> bool:
    """Whether a text looks like one that a person reads."""
    return len(template.split()) >= 3 and template.endswith(".")


def sentences_in(tree: ast.AST) -> set[str]:
    said = {text for text in texts_in(tree) if is_sentence(text)} - docstrings(tree)
    return {text.strip() for text in said}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(ELSEWHERE):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def needed() -> dict[str, str]:
    """The templates that a visitor can read, and where each stands."""
    found: dict[str, str] = {}
    for name, tree in trees():
        said = set(raised_in(tree))
        if not name.startswith(("ui/", "card.py")):  # these have texts of other kinds
            said |= sentences_in(tree)
        found |= dict.fromkeys(said, name)
    return found


def written() -> set[str]:
    """All texts of the program, those that follow a name with and without it."""
    found = {text for _, tree in trees() for text in texts_in(tree)}
    return found | {f"{{0}} {text}" for text in found} | {t.strip() for t in found}


@pytest.mark.parametrize("lang", TRANSLATED)
def test_every_sentence_has_a_translation(lang):
    known, said = sentences.load(lang), needed()
    missing = {
        text: place
        for text, place in said.items()
        if text not in known and f"{{0}} {text}" not in known and text not in COMPOSED
    }
    assert missing == {}


@pytest.mark.parametrize("lang", TRANSLATED)
def test_every_translation_is_of_a_sentence_and_has_no_other_values(lang):
    known = sentences.load(lang)
    assert known.keys() - written() == set()
    for english, said in known.items():
        count = len(pieces_of(english)) - 1
        fields = {f for _, f, _, _ in string.Formatter().parse(said) if f is not None}
        assert fields <= {str(n) for n in range(count)}, english
        assert said.strip(), english


def test_the_scan_finds_what_is_said():
    source = '''
def f(run):
    """Not this one."""
    raise RunError(f"{run} is busy: {run!r} of {{x}}.")
TEXT = "The {name} is gone."
'''
    tree = ast.parse(source)
    assert set(raised_in(tree)) == {"{0} is busy: {1} of {{x}}."}
    assert sentences_in(tree) == {"{0} is busy: {1} of {{x}}.", "The {0} is gone."}


# --- saying ----------------------------------------------------------------------

values = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(values, min_size=3, max_size=3))
def test_values_are_found_again_where_they_hold_no_text_of_the_template(given_values):
    template = "{0} <| has {1} |> and {2}"
    pieces = pieces_of(template)
    assert pieces == ["", " <| has ", " |> and ", ""]
    found = values_in(template.format(*given_values), pieces)
    assert found is not None
    assert template.format(*found) == template.format(*given_values)
    if not any("<|" in value or "|>" in value for value in given_values):
        assert found == given_values


def test_what_overlaps_is_no_match():
    assert values_in("ab", ["ab", "b"]) is None
    assert values_in("abb", ["ab", "b"]) == [""]
    assert values_in("a 5 (x).", ["a ", "", "."]) == ["5 (x)", ""]  # the first has it
    assert values_in("fixed", ["fixed"]) == []
    assert values_in("fixed.", ["fixed"]) is None


def test_an_error_of_the_program_is_said_with_its_values():
    with pytest.raises(CorpusError) as caught:
        corpus.from_text("", name="<b>{0}</b>", max_bytes=9)
    assert sentence_of(caught.value).startswith("<b>{0}</b> is empty: at least")
    said = sentence_of(caught.value, "ja")
    assert said.startswith("<b>{0}</b> は空です：少なくとも ")
    assert not re.search("[A-Za-z]{2}", said)


def test_a_sentence_in_a_sentence_is_said_too(tmp_path):
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_record(tmp_path)
    said = say("ja", str(caught.value))
    assert said.startswith("config.json は")
    assert "正しいものと置き換えてください" in said


def test_phrases_in_a_sentence_are_said_too():
    sentence = (
        "400 characters are asked for and 39,900 of yours are still to be written: "
        "a visitor may have 40,000 at once. Wait, or ask for less."
    )
    said = say("ja", sentence)
    assert not re.search("[a-z]", said)
    assert "400 文字" in said
    assert "39,900" in said


def test_two_sentences_are_said_one_after_the_other():
    job = {
        "action": "push",
        "repo": "a/b",
        "endpoint": "https://hub.test",
        "token": "t",
        "visitor": True,
    }
    sentence = explain.explain(Failure(kind=Kind.STATUS, status=403), job)
    said = say("ja", sentence)
    assert said.startswith("このアクセストークンには a/b への権限がありません")
    assert said.endswith("ここでのログインで開けるのは、ここで作ったものだけです。")


def test_what_is_not_known_stays_as_it_is():
    for sentence in ("", "Something else.", "x" * 5000):
        assert say("ja", sentence) == sentence
    error = ConfigError("There is no setting 'x'.")
    assert say("en", str(error)) == str(error)
    assert say("ja", str(error)) == "設定 'x' はありません。"
