"""Several texts as one: files, folders and zips."""

import zipfile

import pytest

from charrnn.errors import CorpusError
from charrnn.model import checkpoint
from charrnn.runs import control, preparation
from charrnn.text import sources

SEA = "The sea was calm that night.\r\n\r\n"
SAND = "The sand lay white in the moon.\n"
CAFE = "Déjà vu at the café, señor.\n"
LIMIT = 10_000


def load(*paths, **given):
    return sources.load_all([str(path) for path in paths], max_bytes=LIMIT, **given)


@pytest.fixture
def folder(tmp_path):
    """Three texts in two encodings, beside what is none."""
    place = tmp_path / "poems"
    (place / "a" / ".git").mkdir(parents=True)
    (place / "b.txt").write_bytes(SEA.encode())
    (place / "a" / "z.txt").write_bytes(SAND.encode("utf-16"))
    (place / "c.md").write_bytes(CAFE.encode("cp1252"))
    (place / "blank.txt").write_text("\n \n")
    (place / "moon.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (place / "a" / ".git" / "config").write_text("not this one")
    (place / ".hidden.txt").write_text("nor this one")
    return place


def test_a_folder_is_read_in_the_order_of_its_paths(folder):
    found = load(f"{folder}/")
    assert found.text == f"{SAND.strip()}\n\nThe sea was calm that night.\n\n{CAFE}"
    assert found.name == "poems"
    assert found.parts == ("a/z.txt", "b.txt", "c.md")
    assert (found.texts, found.separator) == (3, "\n\n")
    assert found.notices == (
        "Left out, since they are no texts: 'moon.png'.",
        "Left out, since they are empty: 'blank.txt'.",
        "c.md is not UTF-8: it was read as cp1252. If characters look wrong, save it "
        "as UTF-8.",
    )


def test_files_and_folders_are_sorted_and_joined_as_one_likes(folder):
    texts = [folder / "c.md", folder / "a", folder / "b.txt"]
    found = load(*texts, separator="\n--\n")
    assert found.parts == ("z.txt", "b.txt", "c.md")
    assert found.text == f"{SAND.strip()}\n--\nThe sea was calm that night.\n--\n{CAFE}"
    assert found.name == "a (+2)"
    assert load(*reversed(texts), separator="\n--\n").sha256 == found.sha256
    other = load(*texts, separator="")
    assert other.text == f"{SAND.strip()}The sea was calm that night.{CAFE}"


def test_a_file_by_itself_stays_what_it_was(folder):
    (folder / "b.txt").write_bytes(SEA.encode() * 3)
    found = load(folder / "b.txt")
    assert (found.text, found.parts) == (SEA.replace("\r", "") * 3, ())


def test_a_zip_is_read_like_a_folder(folder, tmp_path):
    packed = tmp_path / "poems.ZIP"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*"), reverse=True):
            target.write(path, path.relative_to(folder))
    found, same = load(packed), load(folder)
    assert found.name == "poems.ZIP"
    assert (found.text, found.parts, found.notices) == (
        *(same.text, same.parts, same.notices),
    )


def make_zip(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in entries:
            target.writestr(name, data)
    return path


def linked(path):
    link = zipfile.ZipInfo("link.txt")
    link.external_attr = 0o120777 << 16
    return make_zip(path, [(link, "/etc/passwd")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: make_zip(p, [("../a.txt", SEA)]), "leads out of its folder"),
        (linked, "is a link or a device"),
        (
            lambda p: make_zip(p, [("a.txt", " " * 6000), ("b.txt", " " * 6000)]),
            "has 12,000 bytes: at most 10,000 bytes",
        ),
        (
            lambda p: make_zip(p, [(f"{n}.txt", "") for n in range(1001)]),
            "more than 1000 files",
        ),
        (lambda p: p.write_bytes(b"no zip at all"), "it is damaged"),
        (lambda p: make_zip(p, [(".a", SEA)]), "holds no text"),
    ],
)
def test_a_zip_that_is_hostile_or_too_large_is_refused(make, said, tmp_path):
    make(tmp_path / "texts.zip")
    with pytest.raises(CorpusError, match=said):
        load(tmp_path / "texts.zip")


def test_the_limit_counts_the_sum(folder, tmp_path):
    (folder / "b.txt").write_text("x" * 6000)
    (tmp_path / "d.txt").write_text("y" * 6000)
    packed = make_zip(tmp_path / "e.zip", [("f.txt", "z" * 4000)])
    for texts in ((folder / "b.txt", tmp_path / "d.txt"), (folder, packed)):
        with pytest.raises(CorpusError, match="at most 10,000 bytes are taken here"):
            load(*texts)


def test_what_is_named_has_to_be_a_text_and_to_be_there(folder, tmp_path):
    with pytest.raises(CorpusError, match=r"moon\.png is no plain text but an image"):
        load(folder / "b.txt", folder / "moon.png")
    with pytest.raises(CorpusError, match=r"There is no text '.*gone\.txt'"):
        load(folder, tmp_path / "gone.txt")
    for separator in ("x" * 101, "\x1b[1m"):
        with pytest.raises(CorpusError, match="cannot stand between texts"):
            load(folder, separator=separator)


def test_a_run_names_the_texts_that_it_was_joined_of(folder, isolated):
    for number in range(60):
        (folder / f"n{number:02}.txt").write_text(f"{number} bottles\n")
    found = load(folder, separator="\t\n")
    path = control.create(preparation.prepare(found, settings={"rnn_units": 8}))
    record = checkpoint.read_record(path).corpus
    assert (record.name, record.texts, record.separator) == ("poems", 63, r"\t\n")
    bottles = [f"n{number:02}.txt" for number in range(47)]  # 50 names are kept
    assert record.parts == ("a/z.txt", "b.txt", "c.md", *bottles)
