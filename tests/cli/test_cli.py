"""Every command end to end: what it prints, its errors and exit codes."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from charrnn.cli.parser import main
from charrnn.config import SamplingConfig
from charrnn.hub import client
from charrnn.model import checkpoint, generation, snapshots
from charrnn.runs import control, curve, preparation, store
from charrnn.runs.states import RunState
from charrnn.runs.status import read_status
from charrnn.text import sources
from charrnn.text.corpus import Corpus
from tests.builders import (
    held_queue,
    make_folder,
    make_record,
    make_stepped,
    rows,
    wait_for_event,
    wait_until,
    waiting_run,
    with_baseline,
)
from tests.hub.hub_server import Hub

TINY = [
    *("--rnn-units", "16", "--embedding-dim", "8", "--batch-size", "4"),
    *("--seq-length", "25", "--epochs", "1", "--seed", "7"),
]


@pytest.fixture
def text_file(tmp_path: Path, small_corpus: Corpus) -> Path:
    path = tmp_path / "sea stories.txt"
    path.write_text(small_corpus.text[:4000], encoding="utf-8")
    return path


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = main(list(arguments))
    out, err = capfd.readouterr()
    return code, out, err


def test_the_whole_way_from_a_text_to_a_saved_model(
    text_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(
        capfd, "train", "--corpus", str(text_file), *TINY, "--title", "Sea stories"
    )
    assert (code, out) == (0, "")
    assert "4,000 characters" in err
    assert "validation" in err
    assert "\nfinished after step 35\nkept weights of step 35: validation " in err
    assert "tensorflow" not in err.lower()

    assert "starting: it takes some seconds to the first step" in err
    assert "35 steps are planned" in err
    assert re.search(r"^step \d+ of 35, .*loss .* chars/s$", err, re.M)

    code, out, _ = run(capfd, "runs")
    row = r"^sea-stories +finished +\d\.\d{4} +sea stories\.txt +"
    assert re.search(row + r"20\d\d-\d\d-\d\d \d\d:\d\d +\d+ s +Sea", out, re.M)
    code, out, _ = run(capfd, "models")
    assert re.search(r"^shakespeare .* 1,513,026 +- +32 min 02 s  Shak", out, re.M)
    assert re.search(r"^sea-stories .* 20\d\d-\d\d-\d\d \d\d:\d\d +\d+ s +", out, re.M)
    code, out, _ = run(capfd, "models", "--json")
    (mine,) = [m for m in json.loads(out) if m["id"] == "sea-stories"]
    figures = mine["figures"]
    assert mine["title"] == "Sea stories"
    assert 0 < time.time() - mine["started"] - mine["seconds"] < 600

    code, out, err = run(
        capfd, "evaluate", "sea-stories", "--corpus", str(text_file), "--json"
    )
    scores = json.loads(out)
    assert scores["nats_per_char"] == figures["val_loss"]
    # cross-fitted, in which each half has the other's number
    assert scores["cold256_nats_per_char"] == pytest.approx(
        figures["cold256_val_loss"], abs=0.02
    )
    assert scores["reliability"] == figures["reliability"]
    assert scores["characters"] == 399
    assert scores["unknown"] == 0
    assert "parts" not in scores
    asked = ["evaluate", "sea-stories", "--corpus", str(text_file), "--parts"]
    code, out, _ = run(capfd, *asked, "--json")
    assert json.loads(out) == {**scores, "parts": figures["parts"]}
    assert sum(part["loss"] for part in figures["parts"].values()) == pytest.approx(
        scores["nats_per_char"], rel=1e-9
    )
    code, out, _ = run(capfd, *asked, "--split", "all", "--window", "64")
    assert re.search(r"^word_starts +\d\.\d{4} +\d+\.\d% +\d+\.\d% +\d", out, re.M)
    assert "cold64_nats_per_char" in out
    assert re.search(
        r"^SAID +RIGHT +CHARACTERS\n(\d+\.\d% +\d+\.\d% +\d+\n)+", out, re.M
    )
    assert re.search(r"^\d+\.\d% \(all\) +\d+\.\d% +3999$", out, re.M)
    assert re.search(r"^characters +3999$", out, re.M)

    asked = ["generate", "sea-stories", "--prompt", "sea é", "--seed", "3"]
    code, out, err = run(capfd, *asked, "--length", "50")
    assert code == 0
    assert len(out) == 51
    assert "'é'" in err
    code, several, _ = run(capfd, *asked, "--length", "50", "--temperature", "0.8", "0")
    first, rest = several.split("--- temperature 0 ---\n")
    assert first == f"--- temperature 0.8 ---\n{out}"
    code, as_json, _ = run(
        capfd, *asked, "--length", "50", "--temperature", "0.8", "0", "--json"
    )
    content = json.loads(as_json)
    assert content["seed"] == 3
    assert content["model"] == "sea-stories"
    assert [s["temperature"] for s in content["samples"]] == [0.8, 0]
    assert content["samples"][0]["text"] + "\n" == out
    assert content["samples"][1]["text"] + "\n" == rest

    assert [s["seed"] for s in content["samples"]] == [3, 3]
    figured = [*asked, "--length", "50", "--temperature", "0.8", "--figures"]
    code, several, _ = run(capfd, *figured)
    assert several.startswith(out)
    counted = json.loads(run(capfd, *figured, "--json")[1])["samples"][0]["figures"]
    surprise = f"surprise {counted['surprise']:.4f} bits/char"
    copied = f"copied {100 * counted['copied']:.1f} %"
    assert re.fullmatch(f"--- temperature 0.8: .*{surprise}, {copied}\n", several[51:])

    samples = [*asked, "--length", "50", "--temperature", "0.8", "1", "--samples", "2"]
    code, several, _ = run(capfd, *samples)
    assert several.startswith(f"--- temperature 0.8, seed 3 ---\n{out}--- temp")
    code, as_json, _ = run(capfd, *samples, "--json")
    content = json.loads(as_json)
    assert [(s["temperature"], s["seed"]) for s in content["samples"]] == [
        *((0.8, 3), (0.8, 4), (1, 3), (1, 4))
    ]
    assert len({s["text"] for s in content["samples"]}) == 4
    assert content["samples"][0]["text"] + "\n" == out
    code, many, err = run(capfd, *asked, "--length", "5", "--samples", "20")
    assert re.findall(r"seed (\d+) ---", many) == [str(3 + i) for i in range(20)]
    assert "--samples" not in err
    _, _, err = run(capfd, *asked, "--length", "5", "--temperature", *["0.8"] * 3)
    assert "temperature 0.8 is given 3 times with one seed" in err
    assert "--samples 3" in err
    _, _, err = run(
        capfd, *asked, "--length", "5", "--temperature", "0", "--samples", "2"
    )
    assert "temperature 0 always takes" in err

    code, _, err = run(capfd, "follow", "sea-stories")
    assert code == 0
    assert "finished after step 35" in err
    assert run(capfd, "stop", "sea-stories")[0] == 2
    code, _, err = run(capfd, "train", "--resume", "sea-stories")
    assert (code, "--epochs" in err) == (2, True)
    code, _, err = run(capfd, "train", "--resume", "sea-stories", "--epochs", "1")
    assert (code, "finished after step 70" in err) == (0, True)

    wait_for_event(store.find("sea-stories"), "baseline")
    target = tmp_path / "saved"
    assert run(capfd, "export", "sea-stories", str(target))[0] == 0
    assert (target / "saved_model.pb").is_file()
    path = str(store.find("sea-stories"))
    assert run(capfd, "generate", path, "--length", "5", "--seed", "1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "nothing-here"], "no model or run 'nothing-here'"),
        (["generate", "./nothing"], "There is no folder './nothing'."),
        (["generate", "."], "has no config.json"),
        (["follow", "nothing"], "no model or run"),
        (["stop", "nothing"], "no model or run"),
        (["train"], "--corpus NAME|PATH or --resume ID"),
        (["train", "--corpus", "no such file"], "no such file"),
        (["train", "--corpus", "TEXT", "--rnn-units", "0"], "rnn_units is 0"),
        (["train", "--corpus", "TEXT", "--rnn-units", "2.5"], "rnn_units is 2.5"),
        (["train", "--corpus", "TEXT", "--learning-rate", "nan"], "learning_rate"),
        (["train", "--corpus", "TEXT", "--id", "a/b"], "cannot be an id"),
        (["train", "--corpus", "TEXT", "--init", "nothing"], "no model or run"),
        (["train", "--resume", "nothing"], "no model or run"),
        (["train", "--resume", "shakespeare"], "model without a training"),
        (["evaluate", "nothing", "--corpus", "TEXT"], "no model or run"),
        (["export", "nothing", "there"], "no model or run"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence_and_exit_2(
    arguments: list[str],
    message: str,
    text_file: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(text_file) if a == "TEXT" else a for a in arguments]
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("charrnn: ")
    assert err.count("\n") == 1


def test_generate_compares_by_model_step_or_top_p(
    isolated: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed, name in enumerate(("sea", "sky")):
        make_stepped(isolated / name, 100, 25, 50, seed=seed)
    asked = ["generate", "sea", "--prompt", "the ", "--seed", "3", "--length", "40"]

    def compared(*arguments: str) -> list[dict[str, Any]]:
        samples = json.loads(run(capfd, *asked, *arguments, "--json")[1])["samples"]
        return list(samples)

    ((plain,), several) = compared(), ["--step", "25", "50", "100"]
    by_step = compared(*several)
    assert [(s["model"], s["step"]) for s in by_step] == [
        ("sea", 25), ("sea", 50), ("sea", 100)
    ]  # fmt: skip
    assert by_step[2]["text"] == plain["text"]  # the last one: the kept weights
    assert len({s["text"] for s in by_step}) == 3
    for sample in by_step[:2]:
        model = snapshots.load(isolated / "sea", sample["step"])
        *_, (text,) = generation.generate(
            model, "the ", length=40, rows=rows(0.8, seed=3)
        )
        assert sample["text"] == text
    code, out, _ = run(capfd, *asked, *several, "--figures")
    heads = [f"--- step {step}" for step in (25, 50, 100)]
    texts = [s["text"] for s in by_step]
    shown = "".join(f"{h} ---\n{t}\n" for h, t in zip(heads, texts, strict=True))
    assert out.startswith(shown)
    assert re.findall(r"^--- step \d+(?=:)", out[len(shown) :], re.M) == heads

    asked[2:2] = ["sky"]
    by_model = compared("--samples", "2")
    assert [(s["model"], s["seed"]) for s in by_model] == [
        ("sea", 3), ("sea", 4), ("sky", 3), ("sky", 4)
    ]  # fmt: skip
    assert by_model[0]["text"] == plain["text"]
    assert compared("--step", "50")[0]["text"] == by_step[1]["text"]
    del asked[2]
    by_top_p = compared("--top-p", "0.1", "1")
    assert [s["top_p"] for s in by_top_p] == [0.1, 1]
    assert by_top_p[1]["text"] == plain["text"] != by_top_p[0]["text"]

    for wrong, sentence in (
        (["--step", "50", "60"], "no snapshot of step 60: there are 25, 50, 100"),
        (["--step", "25", "50", "--top-p", "0.5", "1"], "of step and of top-p"),
        (["--top-p", "0.5", "1", "--temperature", "0.5", "1"], "temperature and of"),
    ):
        code, out, err = run(capfd, *asked, *wrong)
        assert (code, out) == (2, "")
        assert sentence in err


def test_generate_lists_lines_and_takes_prompts_from_a_file(
    isolated: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    record = make_record()
    corpus = dataclasses.replace(record.corpus, documents="lines")
    record = dataclasses.replace(record, corpus=corpus)
    model = checkpoint.load(make_folder(isolated / "names", record))
    asked = ["generate", "names", "--stop", r"\n", "--length", "300"]
    code, out, err = run(capfd, *asked, "--samples", "20", "--seed", "5")
    configs = [SamplingConfig(stop="\n", seed=seed) for seed in range(5, 25)]
    *_, expected = generation.generate(model, "", length=300, rows=configs)
    assert (code, out, err) == (0, "\n".join(expected) + "\n", "")
    _, _, err = run(capfd, *asked, "--samples", "2")
    assert re.fullmatch(r"seed (\d+) to (\d+)\n", err)

    prompts = tmp_path / "prompts.txt"
    prompts.write_bytes(b"ab\r\n\nth e\n")
    asked += ["--prompts", str(prompts), "--seed", "5"]
    told = json.loads(run(capfd, *asked, "--samples", "2", "--json")[1])
    samples = [(one["prompt"], one["seed"]) for one in told["samples"]]
    assert samples == [("ab", 5), ("ab", 6), ("th e", 5), ("th e", 6)]
    for one, prompt in zip(told["samples"][::2], ("ab", "th e"), strict=True):
        *_, (text,) = generation.generate(model, prompt, length=300, rows=configs[:1])
        assert one["text"] == text
    out = run(capfd, *asked)[1]
    assert out.startswith("--- prompt 'ab' ---\n")
    assert "--- prompt 'th e' ---\n" in out
    for wrong, sentence in (
        (["--prompt", "x"], "take one of them"),
        (["--temperature", "0", "1"], "of prompt and of temperature"),
    ):
        assert sentence in run(capfd, *asked, *wrong)[2]
    prompts.write_text("\n", encoding="utf-8")
    assert "expected one a line" in run(capfd, *asked)[2]


@pytest.mark.parametrize(
    "settings",
    [
        *(["--temperature", "3"], ["--temperature", "-1"], ["--length", "0"]),
        *(["--samples", "0"], ["--samples", "2", "--seed", str(2**63 - 1)]),
    ],
)
def test_generate_refuses_what_it_cannot_do(
    settings: list[str], isolated: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_folder(isolated / "sea", make_record())
    code, out, err = run(capfd, "generate", "sea", *settings)
    assert (code, out) == (2, "")
    assert err.count("charrnn: ") == 1


def test_the_curve_of_a_model(
    isolated: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_folder(isolated / "sea", make_record())
    (folder / "words.txt").write_text("the\nsea\n", encoding="utf-8")
    asked = ["curve", "sea", "--prompt", "the ", "--length", "200", "--seed", "3"]
    told = json.loads(run(capfd, *asked, "--json")[1])
    model = checkpoint.load(folder)
    *_, written = generation.write(model, "the ", length=200, rows=curve.rows(3))
    points = curve.points(folder, model.record, "the ", written)
    expected = {"model": "sea", "length": 200, **curve.report("the ", 3, points)}
    assert told == json.loads(json.dumps(expected))
    code, out, _ = run(capfd, *asked)
    head, *lines, last = out.splitlines()
    assert (code, len(lines)) == (0, 8)
    assert head.split()[:3] == ["TEMPERATURE", "INVENTED", "REPEATS"]
    row = lines[3].split()
    assert row[0] == "0.85"
    assert f"{points[3].figures.surprise:.3f}" in row
    assert last.startswith("repeats under 10 % and invented words under 5 %: ")
    assert run(capfd, "curve", "sea", "--length", "0")[0] == 2


def test_a_failed_training_exits_1(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (trained / "state" / "state.safetensors").write_bytes(b"x" * 100)
    code, _, err = run(capfd, "train", "--resume", "sea", "--epochs", "1")
    assert code == 1
    assert "failed: The saved state of sea" in err
    code, _, err = run(capfd, "follow", "sea")
    assert code == 1


def test_push_and_pull_from_the_terminal(
    trained: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = "hf_alice_secret"
    monkeypatch.setattr(client, "local_token", lambda: token)
    asked = ("--prompt", "sea", "--length", "40", "--seed", "5")
    _, before, _ = run(capfd, "generate", "sea", *asked)
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.add_user("alice", token=token)
        push = ("push", "sea", "alice/sea", "--license", "mit")
        code, out, err = run(capfd, *push)
        assert (code, out) == (0, f"{server.url}/alice/sea\n")
        assert "(private) now holds it" in err
        assert token not in err
        code, _, err = run(capfd, *push)
        assert (code, "already what this model is" in err) == (0, True)
        code, out, err = run(
            capfd, *push[:2], "alice/page", "--space", "--model-repo", "alice/sea"
        )
        assert (code, out) == (0, f"{server.url}/spaces/alice/page\n")
        files = server.repositories["spaces/alice/page"].head.files
        assert b'- "alice/sea"' in files["README.md"]
        assert b'"license":"mit"' in files["index.html"]
        code, _, err = run(capfd, *push, "--weights", "int8")
        assert (code, "give --space with it" in err) == (2, True)
        code, out, err = run(capfd, "pull", "alice/sea", "--id", "back")
        assert (code, out) == (0, "back\n")
        code, _, err = run(capfd, "pull", "alice/missing")
        assert (code, err.startswith("charrnn: ")) == (2, True)
    _, after, _ = run(capfd, "generate", "back", *asked)
    assert after == before


def test_a_reader_that_has_seen_enough_is_no_error(isolated: Path) -> None:
    make_folder(isolated / "sea", make_record())
    command = f"{sys.executable} -m charrnn generate sea --length 20000 | head -c 10"
    result = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        capture_output=True,
        check=True,
    )
    assert len(result.stdout) == 10
    assert b"Traceback" not in result.stderr


def begin_training(text_file: Path) -> "subprocess.Popen[bytes]":
    """A training called sea, read through a pipe."""
    command = [sys.executable, "-m", "charrnn", "train", "--corpus", str(text_file)]
    return subprocess.Popen(
        [*command, *TINY, "--id", "sea"],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        stderr=subprocess.PIPE,
    )


def test_a_reader_that_was_never_there_does_not_end_a_training(
    text_file: Path, isolated: Path
) -> None:
    with held_queue(isolated):
        process = begin_training(text_file)
        process.stderr.close()
        wait_until((isolated / "sea" / "events.jsonl").is_file, 60)
        waiting_run(isolated / "sea")  # after its first line
        control.stop("sea")
        assert process.wait(timeout=60) == 0
    assert read_status("sea").state is RunState.STOPPED


def test_a_reader_that_goes_away_does_not_end_a_training(text_file: Path) -> None:
    process = begin_training(text_file)
    process.stderr.readline()
    process.stderr.close()
    process.wait(timeout=120)
    assert read_status("sea").state is RunState.FINISHED
    wait_for_event(store.find("sea"), "baseline")


def test_a_folder_that_vanishes_is_told(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (trained / "events.jsonl").unlink()
    (trained / "events.jsonl").mkdir()
    code, _, err = run(capfd, "train", "--resume", "sea", "--epochs", "1")
    assert code == 2  # before a training began
    assert "history" in err


def test_what_cannot_be_read_is_listed_with_the_reason(
    small_corpus: Corpus, capfd: pytest.CaptureFixture[str]
) -> None:
    small = {"rnn_units": 8, "embedding_dim": 4}
    for name in ("newer", "torn"):
        prepared = preparation.prepare(small_corpus, settings=small)
        control.create(prepared, model_id=name)
    config = store.find("newer") / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps({**content, "format_version": 99}))
    (store.find("torn") / "events.jsonl").unlink()
    (store.find("torn") / "events.jsonl").mkdir()
    code, out, err = run(capfd, "runs")
    assert code == 0
    assert re.search(r"^newer +unreadable", out, re.M)
    assert re.search(r"^torn +unreadable", out, re.M)
    assert "note: newer is unreadable: config.json has format_version 99" in err
    assert "note: torn is unreadable: The history of torn (events.jsonl)" in err
    problems = {
        r["id"]: r["problem"] for r in json.loads(run(capfd, "runs", "--json")[1])
    }
    assert "format_version 99" in problems["newer"]
    assert "cannot be read" in problems["torn"]
    assert "format_version 99" in run(capfd, "models")[2]
    listed = {
        m["id"]: m["problem"] for m in json.loads(run(capfd, "models", "--json")[1])
    }
    shipped = dict.fromkeys(store.SHIPPED_IDS, "")
    assert listed == {**shipped, "newer": problems["newer"]}


def test_a_run_of_the_background_keeps_its_log_clean(
    text_file: Path, isolated: Path
) -> None:
    prepared = preparation.prepare(
        sources.load(str(text_file), max_bytes=10**6),
        settings={"rnn_units": 8, "embedding_dim": 4, "epochs": 1},
    )
    path = with_baseline(control.create(prepared, model_id="quiet"))
    code = subprocess.run(
        [sys.executable, "-m", "charrnn", "train", "--resume", "quiet", "--background"],
        cwd=store.PACKAGE_ROOT,
        env={**os.environ},
        capture_output=True,
        check=False,
    )
    assert code.returncode == 0
    log = (path / "train.log").read_text()
    assert "finished after step" in log
    assert str(isolated) not in log
    assert not re.search(r"^[IWE]\d{4} |oneDNN|GeneratorDataset", log, re.M)
    assert checkpoint.load(path).weights_hash


def test_a_score_is_of_the_part_that_the_record_says(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, isolated: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("ab c\n" * 40, encoding="utf-8")
    record = make_record()
    halved = dataclasses.replace(record.corpus, split=0.5)
    make_folder(isolated / "half", dataclasses.replace(record, corpus=halved))
    for split, expected in (("val", 99), ("train", 99), ("all", 199)):
        options = ("--corpus", str(text), "--split", split, "--json")
        code, out, _ = run(capfd, "evaluate", "half", *options)
        assert code == 0
        assert json.loads(out)["characters"] == expected


def test_a_model_becomes_a_web_page(
    text_file: Path,
    isolated: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    make_folder(isolated / "toy", make_record())
    page = tmp_path / "page.html"
    code, out, err = run(capfd, "web", "toy", str(page))
    assert (code, out) == (0, "")
    assert "what float16 weights cost is not measured" in err
    assert "MB with float16 weights" in err
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    arguments = ("web", "toy", str(page), "--corpus", str(text_file))
    code, _, err = run(capfd, *arguments, "--weights", "int8")
    assert code == 0
    assert re.search(r"int8 weights cost -?0\.\d{4} nats per character", err)
    assert '"format":"int8","cost":' in page.read_text(encoding="utf-8")
    before = page.read_bytes()
    for name, sentence in (
        ("page.txt", "expected one that ends in .html"),
        ("none/page.html", "There is no folder"),
    ):
        code, _, err = run(capfd, "web", "toy", str(tmp_path / name))
        assert (code, sentence in err) == (2, True)
    assert page.read_bytes() == before
