"""Which single-byte encoding makes plausible words of bytes.

Several encodings turn the same bytes into letters: 0xF5 is "o with tilde" in Western
Europe and "o with double acute" in Hungary. Which one was meant is told by how
frequent the letters are in a language, and by where they stand: a capital hardly ever
follows a small letter. The likelihood of the text in each pair of an encoding and a
language is computed, letter by letter.
"""
# ruff: noqa: RUF001

import math
import string
import unicodedata
from collections import Counter
from typing import Final

_LATIN: Final = (  # a language's letters, the most frequent first
    "etaoinsrhldcumfpgwybvkxjqzéèïöüçñœ",  # English
    "esirntaoludcpméfgvhbqxyàèêjzkwôîçâùûœëïüæ",  # French
    "enitrsadluhgocmbfkpzwvüäyxöjßqéà",  # German
    "eaosrnidlctupmbfvgóháqxyzjíúkwñéüºª",  # Spanish
    "eioantsrlcdpumgfvzbhèyqkxwàòùjéìºª",  # Italian
    "eaosridtncmlpufvãhgbçxáíqzéyókõjúwêâàôüºª",  # Portuguese
    "easritnlodcupmfgbxvhóqàéízèjyòçkúwïü",  # Catalan
    "entairosdlgvmpkubchwfjzyxéqëïóöüè",  # Dutch
    "eantrisldokgmfvpuäcöbhåyxjwzqé",  # Swedish
    "erntisladkogfmuvpbhæycøjåxwézq",  # Danish and Norwegian
    "tieasnolkuärmvpydhjbcgöfxwzqåšž",  # Finnish
    "ianretslkgðumfdváoyphbíjæóþúöýcxéwzq",  # Icelandic
    "aeionszwrtypckdulmjgbłżąhęśćófńxvźq",  # Polish
    "oenatspruvlidíkzmácbyhjřčéýžěgfšůxwúóňqťď",  # Czech
    "oaenirstvpkudlmzbácyhjíčúýťéžfgľšxôwňóäĺďŕq",  # Slovak
    "eatlsnkrzoáimégvhybdpfcjuíóöőüúxűwq",  # Hungarian
    "aeionrtsjkpudlvmzgbcčšfhćžđxywq",  # Croatian and Slovene
    "eiatrunslcodpmăfbţvgşzîhxâjkwyq",  # Romanian
    "aeilrnsıdtkmyoubgşçzücpğvhöfxwjqâîû",  # Turkish
    "iasteonrkumlpdvgyjšbėųįfącžčūhzęxwq",  # Lithuanian
    "aisternuoklmāpdvēzjīgbšcfļūņhķxžywģčqŗ",  # Latvian
    "aiestlunordkmvpgäjbõhfücxöwyzqžš",  # Estonian
    # Vietnamese, its tones as characters of their own
    "nhtiac\u0323\u0301guo\u0300êô\u0309sđưpkmlrâơdyb\u0303văxfqwzj",
)
_OTHER: Final = (
    "оеаинтрслвпкдмуязьыйбчгжюхцшщфэёъ",  # Russian
    "оаниевтрікслдпумзябйчьгжцєюшхїщфґ",  # Ukrainian
    "аеноитрвсдпзклмъябучжтгйфцщшхюьѝ",  # Bulgarian
    "аеионртскупдвмјзлбгењшчцљжћфхђџ",  # Serbian
    "αοετνιρσημπκυςίλδγήέόάχωθύφώβξζψϊϋΐΰ",  # Greek
    "יולהתםרבאשנמקדעפחגסטןזכצךףץ",  # Hebrew
)
ENCODINGS: Final = {  # what speaks for one before any byte is looked at
    "cp1252": 0.0,
    **dict.fromkeys(("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1257"), -1.0),
    "cp1258": -1.0,
    **dict.fromkeys(("koi8_r", "koi8_u"), -1.0),
    **dict.fromkeys(("iso8859_15", "iso8859_2", "iso8859_5", "iso8859_7"), -2.0),
    **dict.fromkeys(("iso8859_9", "iso8859_13", "iso8859_4", "iso8859_8"), -2.0),
    **dict.fromkeys(("mac_roman", "cp850", "cp437", "cp852", "cp866"), -4.0),
    **dict.fromkeys(("mac_cyrillic", "mac_latin2", "mac_greek"), -5.0),
    **dict.fromkeys(("cp857", "mac_turkish", "cp775", "cp737", "cp862"), -5.0),
}
_QUOTES: Final = "\u201c\u201d\u201e\u2018\u2019\u201a\xab\xbb\u2013\u2014\u2026\xa0"
_OPENING: Final = "\u201c\u201e\u2018\u201a\xab\xbf\xa1"
_INSIDE_WORDS: Final = "\u2019\xb7\xad\u2013\u2014\u2026"
_SIGNS: Final = (
    "\xbf\xa1\u20ac\xa3\xa7\xb0\xa9\xae\xb7\u2022\xb1\xd7\xbd\xbc\xbe\xb2\xb3\u2122\xad"
)
_AMOUNTS: Final = "\u20ac\xa3\xb1\xd7\xbd\xbc\xbe"  # beside figures
_OTHER_SCRIPTS: Final = "\u0370"  # behind the Latin letters
_FOREIGN: Final = math.log(2e-5)  # a letter that the language does not have
_QUOTE: Final = math.log(0.01)
_SIGN: Final = math.log(0.001)
_NO_TEXT: Final = -14.0  # what no text holds: frames, controls, bytes without meaning
_MISPLACED: Final = -5.0
# Least log-probability of a byte beyond ASCII, on average. In a Latin text the
# letters beyond ASCII are the rare ones, in another script they are all there are.
_LATIN_LIMIT: Final = -7.2
_OTHER_LIMIT: Final = -3.9
_PLAIN: Final = 0.4  # weight of ASCII in the choice of a language to compare with
_SMALL: Final = "éèêëàâáäöüßñçóòíìúùûôîïåøæœãõ"
_CAPITALS: Final = "ÀÉÈÄÖÜÇÅØ"  # at the beginning of a word


def _ranked(letters: str) -> dict[str, float]:
    """Log-probabilities of letters by their rank."""
    return {c: math.log(0.13) - rank / 8 for rank, c in enumerate(letters)}


_ENGLISH: Final = {
    c: p for c, p in _ranked(_LATIN[0]).items() if c in string.ascii_lowercase
}
_LANGUAGES: Final = (  # each with the limit of its script
    *((_ranked(letters), _LATIN_LIMIT) for letters in _LATIN),
    *((_ENGLISH | _ranked(letters), _OTHER_LIMIT) for letters in _OTHER),
)


def _is_letter(character: str) -> bool:
    return character.isalpha() or unicodedata.combining(character) > 0


def _placed(before: str, character: str, after: str) -> float:
    """What speaks against a character between two others, in whatever language."""
    if before == character == after and not character.isascii():
        return _MISPLACED
    if character in _AMOUNTS and (_is_letter(before) or _is_letter(after)):
        return _MISPLACED
    if not _is_letter(before):
        return 0.0
    if not _is_letter(character):
        if character.isascii():
            return 0.0
        inside = after.isalpha() and character not in _INSIDE_WORDS
        return _MISPLACED if inside or character in _OPENING else 0.0
    if (before < _OTHER_SCRIPTS) != (character < _OTHER_SCRIPTS):
        return 2 * _MISPLACED
    return _MISPLACED if before.islower() and character.isupper() else 0.0


def _sign(character: str) -> float:
    """Log-probability of a character that is no letter."""
    if character in _QUOTES:
        return _QUOTE
    return _SIGN if character in _SIGNS else _NO_TEXT


class _Bytes:
    """How often each byte stands in a text, and each that may be misplaced."""

    def __init__(self, data: bytes) -> None:
        self.counts = Counter(data)
        triples = Counter(zip(data, data[1:], data[2:] + b" ", strict=False))
        self.triples = {t: n for t, n in triples.items() if max(t[:2]) >= 0x80}
        self.beyond_ascii = sum(n for byte, n in self.counts.items() if byte >= 0x80)


def _score(found: _Bytes, encoding: str) -> tuple[float, float]:
    """Log-likelihood in the language that fits best.

    Returns:
        That of the whole text; and, of one byte beyond ASCII, by how much it is
        above the least that a text has.
    """
    table = bytes(range(256)).decode(encoding, "replace")
    fixed = sum(
        n * _placed(table[a], table[b], table[c])
        for (a, b, c), n in found.triples.items()
    )
    plain: Counter[str] = Counter()
    beyond: Counter[str] = Counter()
    for byte, count in found.counts.items():
        character = table[byte]
        if _is_letter(character):
            (beyond if byte >= 0x80 else plain)[character.lower()] += count
        elif byte >= 0x80:
            fixed += count * _sign(character)
    best = -math.inf
    nearest = (-math.inf, 0.0)
    for language, limit in _LANGUAGES:
        ours = fixed + sum(n * language.get(c, _FOREIGN) for c, n in beyond.items())
        rest = sum(n * language.get(c, _FOREIGN) for c, n in plain.items())
        best = max(best, ours + rest)
        above = ours / max(1, found.beyond_ascii) - limit
        nearest = max(nearest, (ours + _PLAIN * rest, above))
    return best + ENCODINGS[encoding], nearest[1]


def likeliest(data: bytes) -> str | None:
    """The single-byte encoding in which bytes are most likely a text.

    Returns:
        None where they are plausible in none.
    """
    found = _Bytes(b" " + data)
    scores = {encoding: _score(found, encoding) for encoding in ENCODINGS}
    best = max(scores, key=lambda encoding: scores[encoding][0])
    return best if scores[best][1] >= 0 else None


def is_western(data: bytes) -> bool:
    """Whether a few bytes beyond ASCII are letters and quotes where those stand.

    Windows' Western encoding is meant, by far the most frequent one. A few bytes are
    too little for `likeliest`: one or two are plausible in some encoding or another.
    """
    text = f" {data.decode('cp1252', 'replace')} "
    return all(
        _is_familiar(*text[at - 1 : at + 2])
        for at in range(1, len(text) - 1)
        if not text[at].isascii()
    )


def _is_familiar(before: str, character: str, after: str) -> bool:
    if _placed(before, character, after) < 0:
        return False
    if not character.isalpha():
        return _sign(character) > _NO_TEXT
    if character in _CAPITALS:
        return after.islower()
    return character in _SMALL and (before.isalpha() or after.isalpha())
