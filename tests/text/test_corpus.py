"""What comes in as a text and what is refused; downloads from a server of our own."""

import codecs
import contextlib
import hashlib
import http.server
import io
import os
import platform
import socket
import sys
import sysconfig
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import MAX_VOCAB_SIZE
from charrnn.errors import CorpusError
from charrnn.text import corpus
from charrnn.text import sources as sources_module
from charrnn.text.corpus import decode, from_text
from charrnn.text.encoding import SAMPLE_BYTES
from charrnn.text.named import NAMED, NamedText, library_name
from charrnn.text.sources import (
    STDLIB_BYTES,
    cache_folder,
    fetch,
    load,
    standard_library,
)
from charrnn.text.vocabulary import UNKNOWN_ID

LIMIT = 1_000_000
ENGLISH = "It was the best of times, it was the worst of times.\n" * 3
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 3
ARABIC = "في البدء خلق الله السماوات والأرض وكانت الأرض خربة وخالية\n" * 3
EMOJI = "Die 👩‍👩‍👧 aß 🍰 & tränk ☕ — naïve Ångström e\u0301\n" * 3
ANY_TEXTS = [ENGLISH, JAPANESE, ARABIC, EMOJI]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def accepted(data, name="text.txt"):
    return decode(data, name=name, max_bytes=LIMIT)


def refusal(data, max_bytes=LIMIT):
    with pytest.raises(CorpusError) as caught:
        decode(data, name="text.txt", max_bytes=max_bytes)
    return str(caught.value)


# --- decoding ------------------------------------------------------------------


@pytest.mark.parametrize("text", ANY_TEXTS)
@pytest.mark.parametrize(
    "mark_and_encoding",
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_unicode_with_and_without_a_mark(text, mark_and_encoding):
    mark, encoding = mark_and_encoding
    found = accepted(mark + text.encode(encoding))
    assert found == corpus.Corpus("text.txt", text, sha256(text), ())


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        (
            "En un lugar de la Mancha, de cuyo nombre no quiero acordarme, no ha mucho "
            "que vivía un hidalgo de los de lanza en astillero, adarga antigua, rocín "
            "flaco y galgo corredor; salpicón las más noches.\n",
            "cp1252",
            "cp1252",
        ),
        (
            "Les élèves français étaient très étonnés de découvrir que le château où "
            "ils dormaient avait été bâti à Noël par un maçon âgé.\n" * 30,
            "iso8859-1",
            "cp1252",  # the same letters at the same places
        ),
        (
            "Litwo! Ojczyzno moja! ty jesteś jak zdrowie. Ile cię trzeba cenić, ten "
            "tylko się dowie, kto cię stracił. Dziś piękność twą w całej ozdobie "
            "widzę i opisuję, bo tęsknię po tobie.\n",
            "cp1250",
            "cp1250",
        ),
        (
            "Все счастливые семьи похожи друг на друга, каждая несчастливая семья "  # noqa: RUF001
            "несчастлива по-своему. Все смешалось в доме Облонских.\n",  # noqa: RUF001
            "koi8-r",
            "koi8_r",
        ),
        (JAPANESE, "shift_jis", "cp932"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (ARABIC, "cp1256", "cp1256"),
    ],
)
def test_other_encodings_are_recognised_and_named(text, encoding, named):
    found = accepted(text.encode(encoding))
    assert found.text == text
    assert found.notices == (
        f"text.txt is not UTF-8: it was read as {named}. If characters look wrong, "
        "save it as UTF-8.",
    )


def test_a_long_text_is_recognised_by_its_lines_that_are_not_ascii():
    plain = b"Nothing to be seen here, only plain letters of English.\n"
    data = plain * 20_000 + JAPANESE.encode("shift_jis") * 500 + plain
    assert len(data) > SAMPLE_BYTES
    found = decode(data, name="t", max_bytes=len(data) * 2)
    assert found.text == data.decode("shift_jis")


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        ("a\r\nb\rc\nd\r\r\ne\n\r", "a\nb\nc\nd\n\ne\n\n"),
        ("tab\tfeed\fline\u2028next\x85", "tab\tfeed\fline\u2028next\x85"),
        ("e\u0301 \ufb01 \u212b \uff21", "e\u0301 \ufb01 \u212b \uff21"),
        (" \n  spaces stay \n ", " \n  spaces stay \n "),
    ],
)
def test_only_line_ends_are_changed(received, kept):
    for found in (
        accepted((received + ENGLISH).encode()),
        from_text(received + ENGLISH, name="t", max_bytes=LIMIT),
    ):
        assert found.text == kept + ENGLISH
        assert found.sha256 == sha256(kept + ENGLISH)


@given(st.text(min_size=corpus.MIN_CHARACTERS))
def test_any_text_survives_as_it_is(text):
    try:
        found = decode(text.encode(), name="t", max_bytes=LIMIT)
    except CorpusError:
        shown = text.replace("\ufeff", "").replace("\r\n", "\n")
        assert "\0" in shown or len(shown) < corpus.MIN_CHARACTERS or shown.isspace()
    else:
        expected = io.StringIO(text.replace("\ufeff", ""), newline=None).read()
        assert found.text == expected
        assert bool(found.notices) == ("\ufeff" in text[1:])
        pasted = from_text(text, name="t", max_bytes=LIMIT)
        assert (pasted.text, pasted.sha256) == (expected, sha256(expected))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_text_or_refused_with_a_sentence(data):
    message = ""
    try:
        found = decode(data, name="t", max_bytes=LIMIT)
    except CorpusError as error:
        message = str(error)
    if message:
        assert message.startswith("t ")
        assert message.endswith(".")
    else:
        assert "\0" not in found.text
        assert "\r" not in found.text
        assert len(found.text) >= corpus.MIN_CHARACTERS


def test_nul_is_refused_with_what_it_may_be():
    assert "UTF-16 without a byte order mark" in refusal(ENGLISH.encode("utf-16-le"))
    assert "holds the character NUL at 3 " in refusal(b"abc\0" + ENGLISH.encode())
    marked = codecs.BOM_UTF16_LE + f"abc\0{ENGLISH}".encode("utf-16-le")
    assert "holds the character NUL at 3" in refusal(marked)
    with pytest.raises(CorpusError, match="holds the character NUL at 2"):
        from_text("ab\0" + ENGLISH, name="t", max_bytes=LIMIT)


def test_binary_is_refused():
    everything = bytes(range(1, 256)) * 10
    assert "text.txt is no text" in refusal(everything)
    assert "Save it as plain text in UTF-8." in refusal(everything)


def test_damaged_behind_a_mark():
    message = refusal(codecs.BOM_UTF16_LE + ENGLISH.encode("utf-16-le") + b"\0\xd8" * 9)
    assert "begins like UTF-16 but is damaged at byte 320" in message
    message = refusal(codecs.BOM_UTF8 + ENGLISH.encode() + b"\xff" * 9)
    assert "begins like UTF-8 but is damaged at byte 162" in message


@pytest.mark.parametrize(
    "data", [b"", b" \r\n\t", codecs.BOM_UTF8, codecs.BOM_UTF16_LE]
)
def test_empty(data):
    assert "text.txt is empty: at least 50 characters are needed" in refusal(data)


def test_too_short_counts_characters():
    message = refusal(("あ" * 49).encode())
    assert "has 49 characters: at least 50 are needed" in message
    assert "Add more text." in message
    assert len(accepted(("あ" * 50).encode()).text) == 50


def test_over_the_limit_says_received_and_needed():
    message = refusal(b"a" * 1001, max_bytes=1000)
    assert "has 1,001 bytes: at most 1,000 bytes are taken" in message
    assert "CHARRNN_MAX_TEXT_MB" in message
    with pytest.raises(CorpusError, match=r"t has 6\.0 MB: at most 5\.0 MB"):
        from_text("a" * 6_000_000, name="t", max_bytes=5_000_000)
    with pytest.raises(CorpusError, match=r"has 300 bytes: at most 299"):
        from_text("あ" * 100, name="t", max_bytes=299)  # bytes of UTF-8
    assert from_text("あ" * 100, name="t", max_bytes=300).text == "あ" * 100


def test_half_a_character_is_refused():
    text = "a" * (1 << 20) + "bc\ud83d" + "d" * 99
    with pytest.raises(CorpusError, match=r"lone surrogate\) at 1,048,578"):
        from_text(text, name="t", max_bytes=10**7)


def test_names_are_fit_to_be_recorded():
    def name_of(name):
        return from_text(ENGLISH, name=name, max_bytes=LIMIT).name

    assert name_of("Faust I.txt") == "Faust I.txt"
    assert name_of("a\nb\udc80\u202ec") == "a b c"
    assert len(name_of("x" * 300)) == 200
    assert name_of("") == "text"


def test_memory_of_a_long_text_is_a_few_bytes_a_character():
    data = ENGLISH.encode() * 30_000  # 4.8 MB
    tracemalloc.start()
    found = decode(data, name="t", max_bytes=10**8)
    vocabulary, _ = corpus.vocabulary_of(found.text)
    ids = vocabulary.encode(found.text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(ids) == len(data)
    # text and ids, and what does not grow with them: tables and chunks
    assert peak < 2 * len(data) + 40e6


# --- files ---------------------------------------------------------------------


def test_a_file(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes(b"\xef\xbb\xbf" + ENGLISH.replace("\n", "\r\n").encode())
    found = load(str(path), max_bytes=LIMIT)
    assert found == corpus.Corpus("mine.txt", ENGLISH, sha256(ENGLISH), ())


def test_no_such_file_names_what_there_is(tmp_path):
    sources = [str(tmp_path / "none.txt"), str(tmp_path), "shakespear", ""]
    for source in sources:
        with pytest.raises(CorpusError) as caught:
            load(source, max_bytes=LIMIT)
        assert str(caught.value) == (
            f"There is no text {source!r}: expected a file, or one of shakespeare, "
            "python-stdlib."
        )


def test_a_file_over_the_limit_is_not_read(tmp_path):
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(50_000_000_000)  # sparse: it takes no room
    with pytest.raises(CorpusError, match=r"has 50,000\.0 MB: at most 1\.0 MB"):
        load(str(path), max_bytes=LIMIT)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="There is no text"):
        load(str(tmp_path / "pipe"), max_bytes=LIMIT)


def test_impossible_paths():
    for source in ("a\0b", "x" * 5000):
        with pytest.raises(CorpusError):
            load(source, max_bytes=LIMIT)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text(ENGLISH)
    path.chmod(0)
    with pytest.raises(CorpusError, match=r"cannot be read \(Permission denied\)"):
        load(str(path), max_bytes=LIMIT)


def test_a_runs_own_text_comes_back_as_it_is(tmp_path):
    path = tmp_path / "corpus.txt"
    text = EMOJI + "\ufeffa\u2028\x85\x1c\f"
    path.write_bytes(text.encode())
    recorded = hashlib.sha256(text.encode()).hexdigest()
    assert corpus.read_clean(path, recorded) == text
    for other in (text.replace("\u2028", "\n"), text[:-1], ""):
        path.write_bytes(other.encode())
        with pytest.raises(CorpusError, match=r"corpus\.txt, is not the text that"):
            corpus.read_clean(path, recorded)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(CorpusError, match=r"cannot be read \(it is not UTF-8\)"):
        corpus.read_clean(path, hashlib.sha256(b"\xff\xfe").hexdigest())
    path.unlink()
    with pytest.raises(CorpusError, match="No such file"):
        corpus.read_clean(path, recorded)


# --- vocabulary ----------------------------------------------------------------


def test_vocabulary_of_a_text():
    vocabulary, notices = corpus.vocabulary_of("banana\n")
    assert vocabulary.entries == ("[UNK]", "\n", "a", "b", "n")
    assert notices == ()


def test_the_rarest_characters_fold():
    room = MAX_VOCAB_SIZE - 1
    # two characters more than there is room: one of each, but some more often
    distinct = "".join(map(chr, range(0x4E00, 0x4E00 + room + 2)))
    text = distinct + distinct[-3:]  # the last three occur twice
    vocabulary, notices = corpus.vocabulary_of(text)
    assert len(vocabulary) == MAX_VOCAB_SIZE
    kept = distinct[: room - 3] + distinct[-3:]  # equally rare: low code points stay
    assert "".join(vocabulary.entries[1:]) == kept
    assert notices == (
        "The text has 8,193 distinct characters: the 8,191 most frequent have ids of "
        "their own, the other 2 (2 of 8,196 characters) are read as [UNK].",
    )
    assert (vocabulary.encode(text) == UNKNOWN_ID).sum() == 2
    exactly, none = corpus.vocabulary_of(distinct[:room])
    assert (len(exactly), none) == (MAX_VOCAB_SIZE, ())


# --- named texts ---------------------------------------------------------------


def test_shakespeare_from_the_cache():
    if not (cache_folder() / "shakespeare.txt").is_file():
        pytest.skip("Shakespeare is not in the cache")
    found = load("shakespeare", max_bytes=2_000_000)
    assert (found.name, len(found.text)) == ("shakespeare", 1_115_394)
    assert found.sha256 == NAMED["shakespeare"].sha256
    assert corpus.split_at(len(found.text)) == 1_003_854
    assert len(corpus.vocabulary_of(found.text)[0]) == 66
    with pytest.raises(CorpusError, match=r"Tiny Shakespeare has 1\.1 MB: at most 1"):
        load("shakespeare", max_bytes=1_000_000)


def test_the_standard_library():
    found = load("python-stdlib", max_bytes=2_000_000)
    again = load("python-stdlib", max_bytes=2_000_000)
    assert found == again
    assert (found.name, found.notices) == (library_name(), ())
    assert library_name() == f"python-stdlib (Python {platform.python_version()})"
    assert 1_500_000 < len(found.text.encode()) <= 2_000_000
    first = min(
        path.name
        for path in Path(sysconfig.get_path("stdlib")).glob("*.py")
        if path.is_file()
    )
    source = Path(sysconfig.get_path("stdlib"), first).read_text("utf-8")
    assert found.text.startswith(source.rstrip("\n")[:20])
    whole = load("python-stdlib", max_bytes=10**9).text
    assert 5_000_000 < len(whole.encode()) <= STDLIB_BYTES
    assert whole.startswith(found.text)


def test_library_files_are_whole_sorted_and_without_tests(tmp_path):
    files = {
        "b.py": "b = 1\n" * 20,
        "a/z.py": "z = 2\r\n" * 20,
        "a/__init__.py": "",
        "a/test/t.py": "no",
        "tests/t.py": "no",
        "idlelib/idle_test/t.py": "no",
        "site-packages/guest.py": "no",
        "__pycache__/c.py": "no",
        "_sysconfigdata_x.py": "no",
        "notes.txt": "no",
        "c.py": b"# latin-1: \xe9\n",
        "d.py": "d = 3",  # no line feed at its end
        "e.py": "e = 4\n" * 100,
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    expected = "\n" + "z = 2\n" * 20 + "b = 1\n" * 20 + "d = 3\n"
    assert standard_library(tmp_path, 500).text == expected  # e does not fit
    assert standard_library(tmp_path, LIMIT).text == expected + "e = 4\n" * 100


def test_no_standard_library(tmp_path):
    with pytest.raises(CorpusError, match="No source files of Python's standard"):
        standard_library(tmp_path, LIMIT)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CHARRNN_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"CHARRNN_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/charrnn"),
        ({}, "/home/me/.cache/charrnn"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/charrnn"),
    ],
)
def test_the_cache_folder(variables, expected, monkeypatch):
    if sys.platform == "darwin" and "XDG_CACHE_HOME" not in variables:
        expected = "/home/me/Library/Caches/charrnn"
    for name in ("CHARRNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_without_a_home_folder_the_cache_is_asked_for(monkeypatch):
    monkeypatch.delenv("CHARRNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "nowhere")
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 2)  # of no user
    with pytest.raises(CorpusError, match="set CHARRNN_CACHE"):
        cache_folder()


# --- downloads -----------------------------------------------------------------

BODY = ENGLISH.encode()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    """A loopback server: what it sends, and how often it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = self.server.answer
            self.server.requests += 1
            with contextlib.suppress(OSError):  # the other side may have given up
                if callable(answer):
                    answer(self)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.answer, running.requests = BODY, 0
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def named(port, body=BODY):
    return NamedText(
        "Two Cities",
        f"http://127.0.0.1:{port}/cities.txt",
        hashlib.sha256(body).hexdigest(),
        len(body),
    )


def failure(text, cache, **arguments):
    with pytest.raises(CorpusError) as caught:
        fetch("cities", text, LIMIT, cache, **arguments)
    assert not (cache / "cities.txt").exists()
    message = str(caught.value)
    assert "Two Cities" in message
    assert "127.0.0.1" in message
    assert "python-stdlib" in message
    return message


def test_a_download_is_cached_and_reports_progress(server, tmp_path):
    text = named(server.server_port)
    cache = tmp_path / "not" / "there" / "yet"
    calls = []
    found = fetch("cities", text, LIMIT, cache, lambda *call: calls.append(call))
    assert found == corpus.Corpus("cities", ENGLISH, text.sha256, ())
    assert (cache / "cities.txt").read_bytes() == BODY
    assert [p.name for p in cache.iterdir()] == ["cities.txt"]
    assert calls[-1] == (len(BODY), len(BODY))
    assert calls == sorted(calls)
    assert fetch("cities", text, LIMIT, cache) == found
    assert server.requests == 1


@pytest.mark.parametrize("damaged", [b"", BODY[:-1], BODY[:-1] + b"!", BODY + b"!"])
def test_a_damaged_cache_is_downloaded_again(server, tmp_path, damaged):
    (tmp_path / "cities.txt").write_bytes(damaged)
    found = fetch("cities", named(server.server_port), LIMIT, tmp_path)
    assert found.text == ENGLISH
    assert server.requests == 1
    assert (tmp_path / "cities.txt").read_bytes() == BODY


def test_a_cache_that_cannot_be_written(server, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    found = fetch("cities", named(server.server_port), LIMIT, blocked / "cache")
    assert found.text == ENGLISH
    assert found.notices == (
        f"Two Cities could not be kept in {blocked / 'cache'}: it will be downloaded "
        "again next time. Set CHARRNN_CACHE to a writable folder.",
    )


@pytest.mark.parametrize("body", [b"<html>sign in</html>", BODY[:-1] + b"!", b""])
def test_something_else_was_sent(server, tmp_path, body):
    server.answer = body
    message = failure(named(server.server_port), tmp_path)
    assert f"{len(body):,} bytes whose SHA-256 is not the known one" in message


def test_a_flood_is_cut_off(server, tmp_path):
    def flood(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"x" * 1_000_000)

    server.answer = flood
    message = failure(named(server.server_port), tmp_path)
    assert f"{len(BODY) + 1:,} bytes whose SHA-256" in message


def test_cut_off_in_the_middle(server, tmp_path):
    def cut(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[:50])

    server.answer = cut
    message = failure(named(server.server_port), tmp_path)
    assert "50 bytes whose SHA-256" in message or "IncompleteRead" in message


def test_not_found(server, tmp_path):
    server.answer = lambda handler: handler.send_error(404)
    message = failure(named(server.server_port), tmp_path)
    assert "could not be downloaded from 127.0.0.1:" in message
    assert "(Not Found)" in message


def test_nonsense_instead_of_http(server, tmp_path):
    server.answer = lambda handler: handler.wfile.write(b"\xff\xfe nonsense\r\n\r\n")
    assert "could not be downloaded" in failure(named(server.server_port), tmp_path)


def test_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, and nobody listens
        message = failure(named(port), tmp_path)
    assert "refused" in message
    assert "Check the connection" in message


def test_a_server_that_never_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        port = silent.getsockname()[1]
        message = failure(named(port), tmp_path, connect_seconds=0.3)
        assert time.monotonic() - begin < 5
    assert "timed out" in message or "no answer within 0.3 s" in message


def test_a_server_that_stops_in_the_middle(server, tmp_path):
    release = threading.Event()

    def stall(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY[:50])
        release.wait(30)

    server.answer = stall
    begin = time.monotonic()
    try:
        message = failure(named(server.server_port), tmp_path, connect_seconds=0.3)
    finally:
        release.set()
    assert time.monotonic() - begin < 5
    assert "timed out" in message


def test_a_trickle_meets_the_deadline(server, tmp_path, monkeypatch):
    monkeypatch.setattr(sources_module, "DOWNLOAD_SECONDS", 0.2)

    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        for byte in BODY:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    server.answer = trickle
    assert "too slow: " in failure(named(server.server_port), tmp_path)


def test_an_unresolvable_name(tmp_path):
    text = NamedText("Two Cities", "http://127.0.0.1.invalid/", "0" * 64, 9)
    message = failure(text, tmp_path, connect_seconds=3)
    assert "could not be downloaded from 127.0.0.1.invalid" in message
