"""Damaged UTF-8, other encodings and binary files: each taken for what it is."""
# ruff: noqa: RUF001

import codecs
import re
import zlib

import numpy as np
import pytest
from safetensors.numpy import save

from charrnn.errors import CorpusError
from charrnn.text.corpus import decode, from_text

LIMIT = 1_000_000
TEXTS = {
    "zh": (
        "从前有座山，山里有座庙，庙里有个老和尚在给小和尚讲故事。他说：“天下"
        "的事情，没有比耐心更要紧的了。”小和尚听了，点点头，却还是不明白。后"
        "来下雨了，河水涨起来，渡船也停了，两个人就坐在门口看雨。\n"
    ),
    "ja": (
        "むかしむかし、あるところに、おじいさんとおばあさんが住んでいました。"
        "おじいさんは山へしば刈りに、おばあさんは川へ洗濯に行きました。すると"
        "、川上から大きな桃が流れてきました。\n"
    ),
    "ru": (
        "Жили-были старик со старухой у самого синего моря. Старик "
        "ловил неводом рыбу, старуха пряла свою пряжу. Однажды он "
        "закинул невод, и пришёл невод с одною тиной.\n"
    ),
    "fr": (
        "« Où vas-tu ? » demanda l’enfant. Le vieil homme, étonné, "
        "s’arrêta près du château ; il ôta son chapeau, sourit à la "
        "fenêtre, et répondit qu’il n’en savait rien, même à Noël.\n"
    ),
    "de": (
        "Es war einmal eine alte Geiß, die hatte sieben junge "
        "Geißlein und liebte sie, wie eine Mutter ihre Kinder liebt. "
        "„Hütet euch“, sagte sie, „vor dem Wolf!“ Die Tür blieb zu, "
        "müde schliefen sie.\n"
    ),
    "he": (
        "היה היה פעם ילד קטן שגר בבית ליד הים. בכל בוקר יצא אל החוף "
        "וחיפש צדפים, ובערב חזר הביתה וסיפר לאמו מה ראה. יום אחד מצא "
        "בקבוק ובתוכו מכתב.\n"
    ),
    "ar": (
        "كان يا ما كان في قديم الزمان رجل فقير يعيش مع زوجته في كوخ "
        "صغير قرب البحر. كان يخرج كل صباح ليصطاد السمك ويعود في "
        "المساء متعبا إلى بيته.\n"
    ),
    "emoji": (
        "ok see you 🎉🎉 bring 🍰 and ☕ please 🙏🏽 — the 👩‍👩‍👧 are here "
        "❤️ naïve 🇯🇵 !!! 🥳🥳🥳\n"
    ),
    "en": (
        "It was late, and the rain had not stopped; the old lamp on "
        "the table burned low. “Is that you?” she asked. Nobody "
        "answered, and the house was still. It wasn’t the wind.\n"
    ),
    "ko": (
        "옛날 옛적에 한 나무꾼이 산속에 살고 있었습니다. 어느 날 "
        "그는 사슴 한 마리를 숨겨 주었고, 사슴은 그에게 선녀들이 "
        "목욕하는 연못을 알려 주었습니다.\n"
    ),
    "el": (
        "Μια φορά κι έναν καιρό ήταν ένας βασιλιάς που είχε τρεις "
        "κόρες. Η μικρότερη, η πιο όμορφη, ήθελε να μάθει γιατί η "
        "θάλασσα είναι αλμυρή.\n"
    ),
    "th": (
        "กาลครั้งหนึ่งนานมาแล้ว "
        "มีชายชราคนหนึ่งอาศัยอยู่ในกระท่อมเล็กริมแม่น้ำ "
        "ทุกเช้าเขาออกไปหาปลา เย็นก็กลับมาเล่านิทานให้เด็กๆ ฟัง\n"
    ),
    "pl": (
        "Dawno, dawno temu żył sobie król, który miał trzy córki. "
        "Najmłodsza, najpiękniejsza, chciała się dowiedzieć, dlaczego"
        " morze jest słone. Poszła więc ścieżką wśród gęstych łąk.\n"
    ),
    "tr": (
        "Bir varmış bir yokmuş, evvel zaman içinde küçük bir köyde "
        "yaşlı bir çoban yaşarmış. Her gün dağa çıkar, güneş batınca "
        "geri dönermiş; çocuklar ona şarkılar söylermiş.\n"
    ),
}
ENCODINGS = {
    "zh": ("gb18030", "gb2312", "big5"),
    "ja": ("shift_jis", "euc_jp"),
    "ru": ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"),
    "fr": ("cp1252", "iso8859_15", "mac_roman"),
    "de": ("cp1252", "iso8859_1", "cp850"),
    "he": ("iso8859_8", "cp1255", "cp862"),
    "ar": ("cp1256", "iso8859_6"),
    "en": ("cp1252",),
    "ko": ("cp949", "johab"),
    "el": ("cp1253", "iso8859_7"),
    "th": ("tis_620",),
    "pl": ("cp1250", "iso8859_2", "cp852"),
    "tr": ("cp1254",),
}
BY_LETTERS = {  # what letters and their places tell, where they decode in several
    ("fr", "mac_roman"): TEXTS["fr"],
    ("fr", "cp850"): TEXTS["fr"],
    ("tr", "cp1254"): TEXTS["tr"],
    ("tr", "iso8859_9"): TEXTS["tr"],
    ("ru", "koi8_r"): TEXTS["ru"],
    ("hu", "cp1250"): (
        "Egyszer volt, hol nem volt, élt egy öreg király, akinek három lánya és egy "
        "fűzfahíd melletti kőháza volt. Esténként tüzet gyújtott, és őrizte a folyót."
    ),
    ("cs", "iso8859_2"): (
        "Byl jednou jeden král a ten měl tři dcery. Nejmladší z nich se ptala, proč "
        "je moře slané; šla tedy přes most, kde žil starý převozník s bílým koněm."
    ),
    ("lv", "cp1257"): (
        "Reiz dzīvoja vecs ķēniņš, kuram bija trīs meitas. Jaunākā gribēja zināt, "
        "kāpēc jūra ir sāļa, un gāja pa šauru ceļu pāri kalniem līdz pašam galam."
    ),
    ("sv", "cp850"): (
        "Det var en gång en gammal gård där tre systrar bodde. Den yngsta ville "
        "förstå varför havet är salt, och gick över ängen mot den blå färjan."
    ),
    ("es", "mac_roman"): (
        "Érase una vez un rey que tenía tres hijas. La más pequeña preguntó por qué "
        "el mar era salado; el niño del molino, señaló el río y no contestó."
    ),
    ("de", "mac_roman"): TEXTS["de"],
}
NOTICE = re.compile(
    r"t is UTF-8 with ([\d,]+) damaged bytes?,(?: the first)? at byte ([\d,]+), line "
    r"([\d,]+): (?:it is|they are) left out\. .*\."
)


def read(data):
    return decode(data, name="t", max_bytes=LIMIT)


def refusal(data):
    with pytest.raises(CorpusError) as caught:
        read(data)
    return str(caught.value)


def damage(found):
    """Number of bytes, place of the first and its line, as the notice says."""
    (notice,) = found.notices
    return tuple(int(n.replace(",", "")) for n in NOTICE.fullmatch(notice).groups())


def inside(data, start=0):
    """The index of the second byte of a character of several bytes."""
    return next(i + 1 for i in range(start, len(data)) if data[i] >= 0xC0)


@pytest.mark.parametrize("lines", [3, 40])
@pytest.mark.parametrize("language", TEXTS)
class TestDamage:
    def test_cut_at_its_beginning(self, language, lines):
        data = (TEXTS[language] * lines).encode()
        at = inside(data)
        found = read(data[at:])
        assert found.text == data[at:].decode("utf-8", "ignore")
        lost = len(data) - at - len(found.text.encode())
        assert damage(found) == (lost, 0, 1)

    def test_cut_at_its_end(self, language, lines):
        data = (TEXTS[language] * lines).encode()
        at = inside(data, len(data) * 3 // 4)
        found = read(data[:at])
        assert found.text == data[: at - 1].decode()
        assert damage(found) == (1, at - 1, 1 + data[:at].count(b"\n"))

    @pytest.mark.parametrize("stray", [b"\xff", b"\x80", b"\xe9", b"\xc0"])
    def test_a_stray_byte(self, language, lines, stray):
        text = TEXTS[language] * lines
        before = text[: len(text) // 2].encode()
        after = text[len(text) // 2 :].encode()
        found = read(before + stray + b" " + after)
        assert found.text == text[: len(text) // 2] + " " + text[len(text) // 2 :]
        assert damage(found) == (1, len(before), 1 + before.count(b"\n"))

    def test_files_that_were_joined(self, language, lines):
        text = TEXTS[language] * lines
        data = text.encode()
        marked = codecs.BOM_UTF8 + data
        found = read(marked * 3)
        assert found.text == text * 3
        (notice,) = found.notices
        assert notice == (
            "t holds 2 byte order marks inside the text, the first at character "
            f"{len(text):,}, line {lines + 1:,}, as files do that were joined: they "
            "are left out."
        )
        at = inside(data)
        found = read(data + data[at:] + data[:at] + b"\n" + data)
        kept = [data, data[at:], data[:at], b"\n" + data]
        assert found.text == "".join(part.decode("utf-8", "ignore") for part in kept)
        assert damage(found)[1] == len(data)

    def test_a_nul_is_told_with_its_place(self, language, lines):
        text = TEXTS[language] * lines
        place = len(text) - 5
        assert refusal((text[:place] + "\0" + text[place:]).encode()) == (
            f"t holds the character NUL at {place:,} (line {lines:,}): it is no plain "
            "text. Remove it."
        )


@pytest.mark.parametrize("lines", [1, 40])
@pytest.mark.parametrize(
    ("language", "encoding"), [(k, e) for k, found in ENCODINGS.items() for e in found]
)
def test_other_encodings_are_still_recognised(language, encoding, lines):
    data = (TEXTS[language] * lines).encode(encoding, "ignore")
    found = read(data)
    assert found.text == data.decode(encoding)
    assert "is not UTF-8: it was read as" in found.notices[0]


def test_japanese_mail_and_emoji_of_databases_are_read():
    text = TEXTS["ja"] * 3
    found = read(text.encode("iso2022_jp"))
    assert found.text == text
    assert "was read as iso2022_jp." in found.notices[0]
    halves = "\ud83c\udf89".encode("utf-8", "surrogatepass")
    data = ("naïve — “so” \U0001f389\n" * 20).encode()
    found = read(data.replace("\U0001f389".encode(), halves))
    assert found.text == data.decode()
    assert "was read as CESU-8." in found.notices[0]
    half = read(data + halves[:3] + b"\n" + data)
    assert (half.text, damage(half)) == (
        data.decode() + "\n" + data.decode(),
        (3, len(data), 21),
    )


@pytest.mark.parametrize(("language", "encoding"), BY_LETTERS)
def test_letters_tell_an_encoding(language, encoding):
    data = (BY_LETTERS[language, encoding] + "\n").encode(encoding, "ignore") * 3
    found = read(data)
    assert found.text == data.decode(encoding)
    assert "is not UTF-8: it was read as" in found.notices[0]


@pytest.mark.parametrize("stray", [b"\xff", b"\xf0", b"\xc3", b"\xff" * 9, b"\x80\x9c"])
def test_a_few_bytes_in_ascii_are_damage_where_no_letter_stands(stray):
    plain = b"It was late, and the rain had not stopped at all.\n" * 20
    found = read(plain[:330] + stray + plain[330:])
    assert found.text == plain.decode()
    assert damage(found) == (len(stray), 330, 7)


@pytest.mark.parametrize("few", ["café", "naïve", "Élan", "it’s", "“so”", "5 €", "où"])
def test_a_few_letters_in_ascii_are_western_where_letters_stand(few):
    plain = "It was late, and the rain had not stopped at all.\n" * 20
    text = f"{plain}Then {few} again.\n{plain}"
    found = read(text.encode("cp1252"))
    assert found.text == text
    assert "was read as cp1252." in found.notices[0]


@pytest.mark.parametrize(
    ("language", "encoding"), [("ja", "shift_jis"), ("zh", "gb18030"), ("ko", "cp949")]
)
def test_another_encoding_that_was_cut_inside_a_character(language, encoding):
    data = (TEXTS[language] * 40).encode(encoding, "ignore")
    cut = data[: data.rindex(b"\n", 0, -1) + 2]  # half of a line's first character
    found = read(cut)
    assert found.text == cut.decode(encoding, "ignore")
    assert len(found.notices) == 1


def test_one_cut_character_in_a_text_that_is_ascii_otherwise():
    plain = b"It was late, and the rain had not stopped at all. " * 20
    for cut in ("\u201c", "\U0001f389", "\u00e9", "\u0431"):
        for kept in range(1, len(cut.encode())):
            found = read(plain + cut.encode()[:kept])
            assert found.text == plain.decode()
            assert damage(found) == (kept, len(plain), 1)
    assert read(b"the caf\xe9 " + plain).text.startswith("the caf\u00e9 ")
    assert read(plain + b"the caf\xe9").text.endswith("the caf\u00e9")
    assert read(b"\x93It was late,\x94 she said. " + plain).text[0] == "\u201c"


def test_a_file_that_says_what_it_is_may_be_damaged_a_little():
    text = TEXTS["fr"] * 40
    data = text.encode()
    found = read(codecs.BOM_UTF8 + data[:1000] + b"\xff" + data[1000:])
    assert (found.text, damage(found)[:2]) == (text, (1, 1003))
    utf16 = text.encode("utf-16")
    found = read(utf16 + b"a")
    assert found.text == text
    assert found.notices[0].startswith(
        f"t is UTF-16 with 1 damaged byte, at byte {len(utf16):,}, line 41: it is left"
    )
    shifted = utf16[:1000] + b"x" + utf16[1000:]
    assert "begins like UTF-16 but is damaged at byte" in refusal(shifted)
    broken = codecs.BOM_UTF8 + b"abcdefgh\xff" * 100
    assert "begins like UTF-8 but is damaged at byte 11." in refusal(broken)


def test_a_mark_in_pasted_text_is_left_out_unless_it_is_the_first():
    text = TEXTS["de"]
    assert from_text("\ufeff" + text, name="t", max_bytes=LIMIT).notices == ()
    found = from_text(f"{text}\ufeff{text}", name="t", max_bytes=LIMIT)
    assert found.text == text * 2
    assert found.notices == (
        f"t holds a byte order mark inside the text, at character {len(text)}, line 2, "
        "as files do that were joined: it is left out.",
    )


NOISE = np.random.default_rng(0).integers(0, 256, 40_000, np.uint8).tobytes()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x89PNG\r\n\x1a\n" + NOISE, "is no plain text but an image"),
        (b"PK\x03\x04" + b"word/document.xml" * 4000, "a ZIP archive, as .docx"),
        (b"\x7fELF\2\1\1" + NOISE, "is no plain text but a program"),
        (b"%PDF-1.7\n" + b"plain words " * 900, "is no plain text but a PDF document"),
        (save({"w": np.arange(9000, dtype=np.float32)}), "it is a binary file, or UTF"),
        (TEXTS["en"].encode("utf-16-le"), "it is a binary file, or UTF-16 without"),
        (TEXTS["zh"].encode("utf-16-be"), "t "),
        (zlib.compress(NOISE), "t "),
        (NOISE.replace(b"\0", b""), "t is no text: it is neither UTF-8 nor in any enc"),
    ],
)
def test_binary_files_are_refused_with_a_sentence(data, sentence):
    message = refusal(data)
    assert sentence in message
    assert message.endswith("plain text in UTF-8.")
