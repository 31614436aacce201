"""Reading and writing files: every write goes to a temporary name beside its target and is renamed when whole.

A record is a JSON object that holds the SHA-256 of its own other keys, so an edit or a damaged byte is found when it is
read: write_record("score.json", {"score": 4.17}), read_record("score.json").
"""

import errno
import fcntl
import glob
import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from otr.errors import TemporaryError, UserError

Row = dict[str, Any]


@contextmanager
def replacing(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `target` (a file or a folder is to be made there); it takes the name of
    `target` when the block ends well and is removed when it does not. What a killed process left is removed too."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    before = f".{target.name}.{platform.node()}-"
    temporary = target.with_name(f"{before}{os.getpid()}.partial")
    for leftover in target.parent.glob(f"{glob.escape(before)}*.partial"):
        process = leftover.name.removeprefix(before).removesuffix(".partial")
        if process.isdigit() and (int(process) == os.getpid() or not _runs(int(process))):
            remove(leftover)
    try:
        yield temporary
        _sync(temporary)
        if target.is_dir() and not target.is_symlink():
            remove(target)
        temporary.replace(target)
    except OSError as error:
        if error.filename is None:  # a failed write names no file
            error.filename = str(target)
        raise
    finally:
        remove(temporary)


def _runs(process: int) -> bool:
    """Whether a process of this machine is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def remove(path: Path) -> None:
    """Delete a file, a link, or a folder with all that is in it; nothing where there is nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush what was written to the disk, so that a rename never reveals a file with holes after a power cut; and give
    it the rights that the user's umask allows (safetensors writes files that their owner alone can read)."""
    if path.is_symlink():
        return
    mask = os.umask(0)
    os.umask(mask)
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file() and not file.is_symlink():
            with file.open("rb+") as handle:
                mode = os.fstat(handle.fileno()).st_mode
                if mode | (0o666 & ~mask) != mode:
                    os.fchmod(handle.fileno(), mode | (0o666 & ~mask))
                os.fsync(handle.fileno())


_WALLS = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file is larger than the file system or `ulimit -f` allows",
    errno.EIO: "the device reports an input/output error",
    errno.ESTALE: "the network file system lost this file",
}


def wall(error: OSError, near: Path) -> str | None:
    """What a full or failing disk is in one line: the place, what is free there, what to do. None for other errors.

    near: where the process writes, for an error that names no file.
    """
    if error.errno not in _WALLS:
        return None
    place = Path(os.fsdecode(error.filename)) if error.filename else near
    there = next((folder for folder in (place, *place.absolute().parents) if folder.exists()), Path("/"))
    found = os.statvfs(there)
    problem = _WALLS[error.errno]
    if error.errno == errno.ENOSPC and found.f_files and not found.f_favail:
        problem = "no file can be created, as all inodes are used"
    free = f"{found.f_bavail * found.f_frsize / 1e9:.3g} GB free"
    temporary = "; set TMPDIR to another folder" if there.is_relative_to(tempfile.gettempdir()) else ""
    return f"{place}: {problem} ({free} there){temporary}; make room and run the same command again"


@contextmanager
def claimed(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes from working in `folder`; ends with the process, however that ends.

    `doing` says what this one does, e.g. "training". UserError when another process is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, folder, doing)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path, doing: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TemporaryError(
            f"{folder}: another process is {doing} into this folder; wait for it, or stop it"
        ) from None
    except OSError:  # a file system without locks
        pass


def write_text(path: Path | str, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def readable(path: Path | str, needed: str = "a file") -> Iterator[None]:
    """What the system answers when it does not open a file, as a UserError."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, {needed} is needed") from None
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its rights") from None


def read_json(path: Path | str) -> Any:
    """UserError names the file and what to do with a damaged one."""
    try:
        with readable(path):
            return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); delete it and run again") from None


def write_record(path: Path | str, record: Row) -> None:
    """Write a JSON object with its own checksum."""
    write_json(
        path, {key: value for key, value in record.items() if key != "checksum"} | {"checksum": _checksum(record)}
    )


def read_record(path: Path | str) -> Row:
    """A JSON object that `write_record` wrote. UserError when it is damaged or was edited."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("checksum") != _checksum(record):
        raise UserError(
            f"{path}: was edited or damaged (its checksum does not hold); delete it and run again, or restore a copy"
        )
    return record


def _checksum(record: Row) -> str:
    """SHA-256 of the other keys, whatever the file's spaces and line breaks."""
    text = json.dumps({key: value for key, value in record.items() if key != "checksum"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_jsonl(path: Path | str, rows: Iterable[Row]) -> None:
    """One JSON object a line; gzip-compressed where the name ends in .gz. Same rows, same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as raw:
        if str(path).endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as stream:
                _write_lines(stream, rows)
        else:
            _write_lines(raw, rows)


def _write_lines(stream: Any, rows: Iterable[Row]) -> None:
    for row in rows:
        stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


def read_jsonl(path: Path | str, remedy: str = "delete it and run again") -> Iterator[Row]:
    """The rows of a JSONL file (.gz too); a byte order mark is passed over. UserError names the file and the line of
    the first bad one; `remedy` is what it advises where the whole file is damaged."""
    path = Path(path)
    try:
        with readable(path), gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as raw:
            for number, line in enumerate(io.TextIOWrapper(raw, encoding="utf-8-sig"), start=1):
                if line.strip():
                    yield parse_row(line, path, number)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte 0x{error.object[error.start]:02x}); {remedy}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); {remedy}") from None


def parse_row(line: str, path: Path, number: int) -> Row:
    """One line of a JSONL file. UserError names the file and the line's number."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}:{number}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise UserError(f"{path}:{number}: a JSON object is needed, found {type(row).__name__}")
    return row


def sha256(path: Path | str, full: bool = False) -> str:
    """Hex digest of a file, or of a folder's files with their names in order. Hidden files of a folder are not its
    content: Snakemake and other tools put marks there.

    A large file's digest is remembered until its size, time or place changes; `full` reads every byte.
    """
    path = Path(path)
    if path.is_dir():
        digest = hashlib.sha256()
        for file in visible_files(path):
            digest.update(f"{file.relative_to(path)}\0{sha256(file, full)}\n".encode())
        return digest.hexdigest()
    remembered = _remembered(path)
    if remembered is not None and not full:
        try:
            return remembered.read_text()
        except OSError:
            pass
    digest_of_file = read_sha256(path)
    if remembered is not None:
        with suppress(OSError, UserError):  # a cache; without it the next reader takes longer
            write_text(remembered, digest_of_file)
    return digest_of_file


def read_sha256(path: Path, size: int | None = None) -> str:
    """Hex digest of a file, or of its first `size` bytes, read now and remembered nowhere."""
    with path.open("rb") as handle:
        if size is not None:
            return hashlib.sha256(handle.read(size)).hexdigest()
        return hashlib.file_digest(handle, "sha256").hexdigest()


def visible_files(folder: Path) -> list[Path]:
    """The files below a folder by name, without hidden ones and those in hidden folders."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))


_REMEMBERED_FROM = 1 << 24
"""Bytes; smaller files are read in a few milliseconds."""


def _remembered(file: Path) -> Path | None:
    """Where the digest of a large file is remembered: the name stands for all that changes when the file is written to.
    A change time cannot be set back as a modification time can; two names of one file share a digest."""
    found = file.stat()
    if found.st_size < _REMEMBERED_FROM:
        return None
    facts = f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "otr" / "sha256" / hashlib.sha256(facts.encode()).hexdigest()


def flat(value: Row, prefix: str = "") -> dict[str, Any]:
    """A nested mapping as one of dotted keys: {"a": {"b": 1}} → {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {f"{prefix}{key}": inner}
    return found
