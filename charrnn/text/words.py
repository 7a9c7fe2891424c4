"""The words of a text, and what a written text does with them.

A word is a run of letters, marks and inner apostrophes, in lower case. In scripts that
are written without spaces such runs are no words: figures of words are left out there.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_CHARACTERS: Final = 20_000_000  # of a text whose words are listed
RUN_WORDS: Final = 4  # words of a run that may be a repetition
RUN_CHARACTERS: Final = 20  # characters of one, in scripts without spaces
_APOSTROPHES: Final = "'\u2019"
WORD: Final = re.compile(r"[^\s']+(?:'[^\s']+)*")
# Thai, Lao; Tibetan, Myanmar; Khmer; kana, in half width too; Han, with its marks of
# repetition, compatibility and extensions
SPACELESS: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)


def letters_alone(text: str) -> str:
    """The text with spaces for all that is in no word, apostrophes made alike."""
    table = {}
    for character in set(text):
        if character in _APOSTROPHES:
            table[ord(character)] = "'"
        elif unicodedata.category(character)[0] not in "LM":
            table[ord(character)] = " "
    return text.translate(table)


def words(text: str) -> list[str]:
    """The words of a text, in their order.

    Example:
        >>> words("O'er the—sea's 3 rocks, 'tis said: ÉCOLE!")
        ["o'er", 'the', "sea's", 'rocks', 'tis', 'said', 'école']
    """
    return [word.lower() for word in WORD.findall(letters_alone(text))]


def complete_words(prompt: str, text: str) -> list[str]:
    """The words that end in a text, without the one that its end may have cut.

    Args:
        prompt: What stands before the text; a word that begins there counts.
        text: What was written after it.
    """
    whole = letters_alone(prompt + text)
    found = WORD.finditer(whole)
    ends = ((match.end(), match[0].lower()) for match in found)
    return [word for end, word in ends if len(prompt) < end < len(whole)]


def has_words(text: str) -> bool:
    """Whether runs of letters are words here: most letters are of such a script."""
    letters = letters_alone(text).replace(" ", "")
    return len(SPACELESS.findall(letters)) * 2 < len(letters)


def listed(text: str) -> str:
    """The words that end in a text, sorted, one a line: the contents of `words.txt`."""
    return "".join(f"{word}\n" for word in sorted(set(complete_words("", text))))


def invented(written: Iterable[str], known: frozenset[str]) -> float | None:
    """The share of words that are not known; None where there is none.

    Args:
        written: Words, see `complete_words`.
        known: The words of the training text.
    """
    told = [word not in known for word in written]
    return sum(told) / len(told) if told else None


def repeats(text: str) -> float | None:
    """The share of runs that stood in this very text before.

    Runs of 4 words, or of 20 characters in scripts without spaces.

    Returns:
        None where the text is too short for a run.
    """
    parts: list[str] | str = words(text) if has_words(text) else text
    size = RUN_CHARACTERS if isinstance(parts, str) else RUN_WORDS
    runs = [tuple(parts[i : i + size]) for i in range(len(parts) - size + 1)]
    return (len(runs) - len(set(runs))) / len(runs) if runs else None
