"""Rows from files, with errors that name the file and the line."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from otr.config import Source
from otr.data.rows import column
from otr.data.sources import Folders, load_rows
from otr.errors import UserError

ROWS = [{"question": "1 + 1?", "answer": 2}, {"question": "2 + 2?", "answer": 4}, {"question": "3 + 3?", "answer": 6}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(data=tmp_path, generated=tmp_path / "generated")


def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "plain.jsonl").write_text(LINES)
    with gzip.open(tmp_path / "packed.jsonl.gz", "wt") as file:
        file.write(LINES)
    pd.DataFrame(ROWS).to_parquet(tmp_path / "table.parquet")
    for name in ("plain.jsonl", "packed.jsonl.gz", "table.parquet"):
        assert load_rows(Source(path=name), folders, ["question"]) == ROWS
        assert load_rows(Source(path=str(tmp_path / name)), folders, ["question"], limit=2) == ROWS[:2]


def test_a_pattern_reads_its_files_in_order(tmp_path: Path, folders: Folders) -> None:
    for name, row in zip(("b", "c", "a"), ROWS, strict=True):
        (tmp_path / f"part-{name}.jsonl").write_text(json.dumps(row) + "\n")
    found = load_rows(Source(path="part-*.jsonl"), folders, [])
    assert [row["answer"] for row in found] == [6, 2, 4]


def test_generated_files_have_their_own_folder(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "made.jsonl").write_text(LINES)
    assert load_rows(Source(generated="made.jsonl"), folders, ["answer"]) == ROWS


def test_nested_columns() -> None:
    row = {"messages": [{"content": "hello"}], "a": {"b": 0}}
    assert column(row, "messages.0.content") == "hello"
    assert column(row, "a.b") == 0
    for path in ("messages.1.content", "messages.x", "a.b.c", "b"):
        with pytest.raises(UserError, match=f"column '{path}'"):
            column(row, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES + '{"question": "4 + 4?"}\n', r"rows\.jsonl:4: has no column 'answer'; found: question"),
        (LINES + '{"question": "4?", "answer": null}\n', r"rows\.jsonl:4: column 'answer' is empty"),
        (LINES + "{not json\n", r"rows\.jsonl:4: not JSON"),
        ("[1, 2]\n", r"rows\.jsonl:1: a JSON object is needed, found list"),
        ("", r"rows\.jsonl: holds no rows; at least one is needed"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, folders: Folders, content: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_rows(Source(path="rows.jsonl"), folders, ["question", "answer"])
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_where_rows_are_looked_for(tmp_path: Path, folders: Folders) -> None:
    with pytest.raises(UserError, match=r"no file matches '.*/none\*\.jsonl'; put the rows there"):
        load_rows(Source(path="none*.jsonl"), folders, [])


def test_unknown_and_damaged_files(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"rows\.csv: unknown kind of file; allowed: \.jsonl, \.jsonl\.gz, \.parquet"):
        load_rows(Source(path="rows.csv"), folders, [])
    (tmp_path / "rows.parquet").write_bytes(b"PAR1, but not parquet at all")
    with pytest.raises(UserError, match=r"rows\.parquet: not readable as parquet"):
        load_rows(Source(path="rows.parquet"), folders, [])
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(LINES.encode())[:-9])
    with pytest.raises(UserError, match=r"rows\.jsonl\.gz: damaged"):
        load_rows(Source(path="rows.jsonl.gz"), folders, [])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", gzip.compress(b"{}"), r"is gzip-compressed, its name says otherwise; call it \*\.jsonl\.gz"),
        ("rows.jsonl", b"PAR1....", r"is parquet, its name says otherwise; call it \*\.parquet"),
        ("rows.jsonl", b"PK\x03\x04....", "is a zip archive"),
        ("rows.jsonl", b"\x28\xb5\x2f\xfd....", "is zstandard-compressed"),
        ("rows.jsonl", '{"a": "é"}\n'.encode("utf-16"), "is UTF-16 text"),
        ("rows.jsonl", '{"a": "é"}\n'.encode("latin-1"), r"not UTF-8 \(byte 0xe9\); save it as UTF-8"),
        ("rows.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("rows.jsonl.gz", b'{"a": 1}\n', r"is not gzip-compressed, its name says so; drop \.gz"),
        ("rows.parquet", b'{"a": 1}\n', "is not parquet, its name says so"),
        ("rows.jsonl", None, "is a folder, a file of rows is needed"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(
    tmp_path: Path, folders: Folders, name: str, content: bytes | None, message: str
) -> None:
    """And no message tells users to delete their rows."""
    file = tmp_path / name
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_rows(Source(path=name), folders, [])
    assert "delete" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + LINES.encode())
    assert load_rows(Source(path="rows.jsonl"), folders, ["question"])


def test_real_rows(real_rows: Path) -> None:
    folders = Folders(real_rows, real_rows)
    found = load_rows(Source(path="gsm8k_train*.jsonl"), folders, ["question", "answer"])
    assert len(found) == 2000


def test_evalplus_hands_over_its_own_file(real_rows: Path) -> None:
    """In a process of its own: evalplus reads where its data set lies when it is imported."""
    program = (
        "from pathlib import Path; from otr.config import Source; from otr.data.sources import Folders, load_rows; "
        "rows = load_rows(Source(evalplus='mbpp'), Folders(Path('x'), Path('x')), ['task_id', 'plus_input']); "
        "print(len(rows), rows[0]['task_id'], type(rows[0]['plus_input']).__name__)"
    )
    environment = os.environ | {"MBPP_OVERRIDE_PATH": str(real_rows / "mbppplus_80.jsonl")}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert run.stdout.split() == ["80", "Mbpp/2", "list"], run.stderr
