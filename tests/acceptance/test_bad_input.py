"""Files that can't be shipped: each gets one clear message and the right exit code, and leaves nothing behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.shipping import fresh_checkout


@pytest.fixture(scope="module")
def bare():
    """A checkout in which no server is started, since every file here is refused before."""
    with fresh_checkout() as checkout:
        yield checkout


def _renamed(lines):
    return [lines[0].replace("MonthlyCharges", "MonthlyCharge"), *lines[1:]]


def _broken(lines):
    return [line.replace("Month-to-month", "Weekly") if n % 5 < 4 else line for n, line in enumerate(lines)]


def _one_class(lines):
    return [lines[0], *(line.rsplit(",", 1)[0] + ",No" for line in lines[1:])]


BAD_FILES = {
    "empty": (lambda _lines: [], 3, "empty"),
    "header_only": (lambda lines: lines[:1], 3, "no rows|has one class|header"),
    "missing_column": (lambda lines: [line.split(",", 1)[1] for line in lines], 3, "customerID"),
    "renamed_column": (_renamed, 3, "MonthlyCharges"),
    "forty_percent_broken": (_broken, 3, "Contract"),
    "one_class": (_one_class, 3, "one class"),
    "duplicate_ids": (lambda lines: [lines[0], *(["A" + line[10:] for line in lines[1:]])], 3, "customerID"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_file_is_refused_in_words_when_it_is_bad(bare, telco_csv, tmp_path, kind):
    change, exit_code, words = BAD_FILES[kind]
    lines = telco_csv.read_text().splitlines()
    bad = tmp_path / f"{kind}.csv"
    bad.write_text("".join(f"{line}\n" for line in change(lines)))
    refused(bare.ship("--data", bad), exit_code, words)


def test_file_is_refused_in_words_when_it_is_binary(bare, tmp_path):
    bad = tmp_path / "binary.csv"
    bad.write_bytes(bytes(range(256)) * 100)
    refused(bare.ship("--data", bad), 3, "binary")


def refused(shipped, exit_code, words):
    assert shipped.exit_code == exit_code, shipped.words
    assert "Traceback" not in shipped.words
    assert shipped.json["outcome"] == "rejected"
    assert any(word in shipped.json["reason"] for word in words.split("|")), shipped.json["reason"]
    assert [step["name"] for step in shipped.json["steps"]] == ["ingest", "report"]
    assert Path(shipped.json["report"]).is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ship", "churn", "--data", "nowhere.csv"), "there is no such file"),
        (("ship", "churn", "--data", "."), "is a folder"),
        (("ship", "chrun"), "no model 'chrun'"),
        (("ship", "churn", "--sabotage", "gremlins"), "allowed are errors, latency, crash, quality"),
        (("ship", "churn", "--until", "trian"), "the steps are: ingest, stack"),
        (("ship", "churn", "--from", "train", "--until", "ingest"), "comes after"),
    ],
)
def test_call_is_refused_with_exit_code_2_when_it_is_wrong(bare, words, said):
    done = bare.slipway(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


HOLD = """
import pathlib, sys
from slipway.pipeline.lock import shipping
with shipping(pathlib.Path(sys.argv[1])):
    sys.stdout.write("held ")
    sys.stdout.flush()
    sys.stdin.read()
"""


def test_second_ship_is_refused_when_one_runs(bare):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(bare.home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        holder.stdout.read(5)
        done = bare.slipway("ship", "churn")
        assert done.returncode == 1, done.stderr
        assert f'"pid": {holder.pid}' in done.stderr.replace("\n", "")
    finally:
        holder.kill()
        holder.communicate()


def test_ship_ends_with_one_line_when_interrupted(bare, telco_csv):
    running = bare.start("ship", "churn", "--data", telco_csv, "--until", "ingest", "--force")
    give_up = time.monotonic() + 20
    while (
        not (bare.home / "ship.lock").is_file() or f'"pid": {running.pid}' not in (bare.home / "ship.lock").read_text()
    ):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    words, _ = running.communicate(timeout=30)
    assert running.returncode == 130, words
    assert "interrupted" in words
    assert "Traceback" not in words
