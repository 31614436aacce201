"""Atomic writing and JSONL."""

import errno
import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from otr.errors import UserError
from otr.files import (
    read_json,
    read_jsonl,
    read_record,
    replacing,
    sha256,
    wall,
    write_json,
    write_jsonl,
    write_record,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"old": True})
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"old": True}
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("1", "2"):
        with replacing(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [file.name for file in target.iterdir()] == ["2"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_rows_come_back_and_bytes_repeat(name: str, tmp_path: Path) -> None:
    rows = [{"text": "é † \n", "n": n} for n in range(3)]
    write_jsonl(tmp_path / name, rows)
    first = (tmp_path / name).read_bytes()
    write_jsonl(tmp_path / name, rows)
    assert (tmp_path / name).read_bytes() == first
    assert list(read_jsonl(tmp_path / name)) == rows


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": 1}\n\n[1]\n')
    with pytest.raises(UserError, match="a.jsonl:3: a JSON object is needed, found list"):
        list(read_jsonl(file))
    file.write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match="a.jsonl:2: not JSON"):
        list(read_jsonl(file))


def test_a_cut_gzip_is_damaged_not_short(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-12])
    with pytest.raises(UserError, match="damaged .* delete it and run again"):
        list(read_jsonl(file))


def test_a_folder_hash_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256(tmp_path) != first


def test_what_a_killed_process_left_is_removed_and_a_living_one_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import os, sys; from otr.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline()
    assert len(list(tmp_path.glob(".file.*.partial"))) == 2
    writers[0].kill()
    writers[0].communicate()
    write_text(tmp_path / "file", "whole")
    assert len(list(tmp_path.glob(".file.*.partial"))) == 1
    writers[1].communicate()
    assert writers[1].returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "half"  # the last one to finish


def test_a_record_that_was_edited_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    write_record(file, {"score": 4.17, "label": "é", "details": {"n": None}})
    assert read_record(file)["score"] == 4.17
    text = file.read_text()
    file.write_text(text.replace("  ", ""))  # spaces are no content
    assert read_record(file)["score"] == 4.17
    for damaged in (text.replace("4.17", "74.17"), text.replace('"é"', '"e"'), "{}", "[]"):
        file.write_text(damaged)
        with pytest.raises(UserError, match="score.json: was edited or damaged .* delete it and run again"):
            read_record(file)
    file.write_text(text[:-20])
    with pytest.raises(UserError, match="score.json: damaged, not JSON .* delete it and run again"):
        read_record(file)


def test_a_folder_hash_passes_over_marks_of_tools(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256(tmp_path)
    (tmp_path / ".snakemake_timestamp").write_text("")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "b").write_text("2")
    assert sha256(tmp_path) == first


def test_a_remembered_digest_is_of_the_very_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write is seen although it keeps the size and sets the time back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("otr.files._REMEMBERED_FROM", 0)
    file = tmp_path / "weights"
    file.write_bytes(b"1234")
    first, times = sha256(file), file.stat()
    remembered = list((tmp_path / "cache").rglob("*"))
    assert sha256(file) == first
    assert list((tmp_path / "cache").rglob("*")) == remembered
    with file.open("r+b") as handle:
        handle.write(b"5")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == 4
    assert sha256(file) != first
    # Damage below the file system changes no time: a full reading sees it.
    for entry in (tmp_path / "cache").rglob("*"):
        if entry.is_file():
            entry.write_text(first)
    assert sha256(file) == first
    assert sha256(file, full=True) != first


def test_files_are_written_with_the_users_umask(tmp_path: Path) -> None:
    """safetensors makes files that their owner alone may read: a group could not use the weights."""
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "weights").touch(mode=0o600)
        assert (tmp_path / "folder" / "weights").stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def test_a_full_disk_is_named_with_its_place(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="a.json") as caught, replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise full
    said = wall(caught.value, Path("/"))
    assert said is not None
    assert said.startswith(f"{tmp_path / 'a.json'}: no space is left (")
    assert "GB free there" in said and said.endswith("make room and run the same command again")
    assert "set TMPDIR to another folder" in str(wall(full, Path(tempfile.gettempdir()) / "x"))
    assert wall(OSError(errno.EDQUOT, ""), tmp_path) is not None
    assert wall(OSError(errno.ENOENT, ""), tmp_path) is None
