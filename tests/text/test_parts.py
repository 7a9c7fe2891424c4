"""Each character of a text belongs to one part, in any script."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrnn.text import parts
from charrnn.text.parts import Part, Sums

LETTERS = {
    **{"S": "word_starts", "i": "word_insides", "C": "capitals", "d": "digits"},
    **{"h": "ideographs", "k": "spaceless", ".": "signs", "n": "line_breaks"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KING HENRY:\nI, a Man.", "CCCC.CCCCC.nS..S.Sii."),
        ("o'er 'tis dogs'", "Siii..Sii.Siii."),
        ("12 is ½ of x2y", "dd.Si.d.Si.SdS"),
        ("O'ER ÉTÉ E\u0301 É", "CCCC.CCC.Si.S"),  # one letter is no word in capitals
        ("漢字と々カナｶﾅ。\n\uff13Tシャツ", "hhkhkkkk.ndSkkk"),
        ("ภาษาไทย ១២ नमस्ते", "kkkkkkk.dd.Siiiii"),
        ("\t\u3000—😀\x07\ud800", "......"),
    ],
)
def test_a_character_belongs_to_its_part(text, expected):
    found = [parts.PARTS[code] for code in parts.codes(text)]
    assert found == [LETTERS[letter] for letter in expected]


@given(st.text(), st.data())
def test_parts_sum_to_all_that_was_added(text, data):
    nats = np.array(
        data.draw(
            st.lists(st.floats(0, 50), min_size=len(text) + 1, max_size=len(text) + 1)
        )
    )
    codes = parts.codes(text + "a")
    sums = Sums()
    cut = data.draw(st.integers(0, len(text)))
    for part in (slice(None, cut), slice(cut, None)):
        sums.add(codes[part], nats[part])
    found = sums.parts()
    assert sum(part.characters for part in found.values()) == len(text) + 1
    assert sum(part.loss for part in found.values()) == pytest.approx(nats.mean())
    for name, part in found.items():
        inside = codes == parts.PARTS.index(name)
        assert part == Part(inside.sum(), pytest.approx(nats[inside].sum() / len(nats)))
