"""What may come next after a prompt, and how much is read to say so."""

import queue

import numpy as np
import pytest

from charrnn.config import MAX_PROMPT
from charrnn.errors import CharrnnError, CheckpointError, ConfigError, RunError
from charrnn.model import next_character
from charrnn.model.cache import ModelCache
from charrnn.model.generation import prompt_ids
from charrnn.model.network import Network
from charrnn.model.next_character import PIECE, Asked, NextCharacters, Question
from tests.builders import save_model, wait_until


class Asking:
    """Asks and waits for the answer."""

    def __init__(self, folder):
        self.folder = folder
        self.models = ModelCache()
        self.questions = NextCharacters(self.models)

    def __call__(self, prompt, asker="", folder=None):
        answers = queue.Queue()
        question = Question(folder or self.folder, prompt, asker)
        before = self.questions.characters_read
        self.questions.ask(Asked(question, answers.put))
        answer = answers.get(timeout=30)
        self.read = self.questions.characters_read - before
        if isinstance(answer, CharrnnError):
            raise answer
        return answer


@pytest.fixture
def asking(tmp_path):
    save_model(tmp_path / "m", num_layers=2)
    return Asking(tmp_path / "m")


def expected(model, prompt):
    """The logits of the writing step itself, without [UNK]."""
    network = Network(model.record.model, model.weights)
    ids = prompt_ids(model.vocabulary, prompt)
    states = network.prefill(ids[:-1], network.initial_states(1))
    return network.step(ids[-1:], states)[0][0, 1:].tolist()


def test_logits_have_the_bits_of_the_step_that_writes(tmp_path, asking):
    model = save_model(tmp_path / "m", num_layers=2)
    for prompt in ("", "a", "ab\ufeff\ud800c", "abc d" * 100):
        assert asking(prompt, "x") == expected(model, prompt)


def test_of_a_prompt_that_grows_only_what_was_added_is_read(tmp_path, asking):
    model = save_model(tmp_path / "m", num_layers=2)
    prompt = "abcdefg hij" * 30
    asking(prompt, "x")
    assert asking.read == len(prompt) - 1
    longer = asking(prompt + "ab", "x")
    assert asking.read == 2
    assert longer == expected(model, prompt + "ab")
    assert asking(prompt + "ab", "x") == longer
    assert asking.read == 0
    assert asking(prompt + "b", "x") == expected(model, prompt + "b")
    assert asking.read == len(prompt)  # a letter was replaced: all is read again
    asking(prompt + "b", "y")
    assert asking.read == len(prompt)  # another visitor has states of their own


def test_states_are_of_the_model_as_it_is_now(tmp_path, asking):
    asking("abc", "x")
    newer = save_model(tmp_path / "m", num_layers=2, seed=1)
    assert asking("abcd", "x") == expected(newer, "abcd")
    assert asking.read == 3


def test_the_longest_unused_states_are_dropped(asking, monkeypatch):
    monkeypatch.setattr(next_character, "MAX_KEPT", 2)
    for asker in ("x", "y", "x", "z"):
        asking("abc", asker)
    for asker, read in (("x", 0), ("z", 0), ("y", 2)):
        asking("abc", asker)
        assert asking.read == read, asker
    asking("abc")
    asking("abc")
    assert asking.read == 2  # of someone without a name nothing is kept


def test_a_later_prompt_takes_the_place_of_one_that_is_being_read(asking):
    answers = queue.Queue()
    long = "ab" * 5_000
    for prompt, asker in ((long, "x"), (long, "y"), ("abc", "x")):
        question = Question(asking.folder, prompt, asker)
        asking.questions.ask(
            Asked(question, lambda answer, asker=asker: answers.put((asker, answer)))
        )
    found = [answers.get(timeout=60) for _ in range(3)]
    kinds = [(asker, type(answer)) for asker, answer in found]
    assert kinds == [("x", RunError), ("x", list), ("y", list)]


def test_what_nobody_waits_for_is_read_no_further(asking):
    answers = queue.Queue()
    unread, begun, last = (
        Asked(Question(asking.folder, prompt, asker), answers.put)
        for prompt, asker in (("ab" * 50_000, "x"), ("ab" * 50_000, "y"), ("abc", "z"))
    )
    unread.given_up = True
    for asked in (unread, begun):
        asking.questions.ask(asked)
    wait_until(lambda: asking.questions.characters_read, 30)
    begun.given_up = True
    asking.questions.ask(last)
    assert isinstance(answers.get(timeout=30), list)
    wait_until(lambda: not asking.models._users, 30)
    assert answers.empty()
    assert asking.questions.characters_read < 50_000


def test_an_address_with_many_prompts_leaves_others_their_turns(asking):
    answers = queue.Queue()

    def ask(prompt, asker, address):
        question = Question(asking.folder, prompt, asker, address)
        asking.questions.ask(
            Asked(question, lambda _: answers.put(asking.questions.characters_read))
        )

    for number in range(20):
        ask("ab" * 5_000, f"{number}", "flood")
    before = asking.questions.characters_read
    ask("ab" * 300, "x", "other")  # five pieces
    assert answers.get(timeout=30) - before <= (2 * 5 + 1) * PIECE


def test_a_prompt_that_grows_while_it_is_read_is_read_on(tmp_path, asking):
    model = save_model(tmp_path / "m", num_layers=2)
    answers = queue.Queue()
    prompt = "abcdefg hij" * 300
    asking.questions.ask(Asked(Question(asking.folder, prompt, "x"), answers.put))
    wait_until(lambda: asking.questions.characters_read, 30)
    assert asking(prompt + "a", "x") == expected(model, prompt + "a")
    assert isinstance(answers.get(timeout=30), RunError)
    assert asking.questions.characters_read == len(prompt)


def test_what_cannot_be_answered_says_why_and_holds_up_nobody(tmp_path, asking):
    with pytest.raises(CheckpointError):
        asking("a", "x", tmp_path / "nothing")
    with pytest.raises(ConfigError, match="100,001 characters"):
        asking("a" * (MAX_PROMPT + 1))
    assert np.isfinite(asking("a", "x")).all()


def test_models_are_given_back(asking):
    asking("abc", "x")
    assert not asking.models._users
