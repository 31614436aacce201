"""Completions of one benchmark, kept as they come until all are there.

    store = Store(Path("eval/large/otr/.store/gsm8k"), "5f3a9c0d1e2b4f60")
    with store.writer() as writer:
        writer.add({"problem": "0", "sample": 2, "completion": "...", "tokens": 64, ...})
    store.tokens()          # {("0", 2): 64}
    store.write(keys, samples)
    store.clear()

    .store/gsm8k/5f3a9c0d1e2b4f60.<process>.lines    what one process wrote; a process opens a new file, never another's

A line is the CRC-32 of its text and the text, a JSON object. Any number of processes may write at once, and any may
read meanwhile. Nothing is ever repaired: a half-written last line, which a killed process leaves, and a line with a
damaged byte are passed over, so their completions are sampled again. The fingerprint stands for everything that decides
a completion, so two lines of one key are the same completion.
"""

import json
import uuid
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from otr.errors import UserError
from otr.files import Row, write_jsonl

Key = tuple[str, int]
"""A problem's id and the number of the sample."""


class _Line(NamedTuple):
    """Where a completion stands."""

    file: Path
    start: int
    tokens: int


class Writer:
    """Appends completions to a file of this process's own, which the first of them opens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def add(self, row: Row) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")
        text = json.dumps(row, ensure_ascii=False).encode()
        self._file.write(b"%08x %s\n" % (zlib.crc32(text), text))
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


class Store:
    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.fingerprint = fingerprint

    def writer(self) -> Writer:
        return Writer(self.folder / f"{self.fingerprint}.{uuid.uuid4().hex[:12]}.lines")

    def tokens(self) -> dict[Key, int]:
        """The completions already there, each with its number of tokens."""
        return {key: line.tokens for key, line in self._lines().items()}

    def write(self, keys: Iterable[Key], samples: Path) -> None:
        """Write samples.jsonl.gz in the order of `keys`, which must all be there."""
        lines, keys = self._lines(), list(keys)
        if missing := [key for key in keys if key not in lines]:
            raise UserError(f"{self.folder}: {len(missing)} of {len(keys)} completions are missing; run again")
        write_jsonl(samples, _read(lines[key] for key in keys))

    def clear(self) -> None:
        """Forget the completions, those of other fingerprints too: they stand in samples.jsonl.gz now."""
        for file in self.folder.iterdir():
            file.unlink(missing_ok=True)

    def _lines(self) -> dict[Key, _Line]:
        """Every completion's place. Texts stay on disk: those of a large suite are gigabytes."""
        found: dict[Key, _Line] = {}
        for file in sorted(self.folder.glob(f"{self.fingerprint}*.lines")):
            start = 0
            with file.open("rb") as raw:
                for line in raw:
                    if (row := _row(line)) is not None:
                        found[_key(row)] = _Line(file, start, row["tokens"])
                    start += len(line)
        return found


def _row(line: bytes) -> Row | None:
    """The object of a line; None for one that is half written or damaged."""
    crc, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text):
        return None
    row: Row = json.loads(text)
    return row


def _key(row: Row) -> Key:
    return row["problem"], row["sample"]


def _read(lines: Iterable[_Line]) -> Iterator[Row]:
    opened: dict[Path, BinaryIO] = {}
    try:
        for line in lines:
            if line.file not in opened:
                opened[line.file] = line.file.open("rb")
            opened[line.file].seek(line.start)
            if (row := _row(opened[line.file].readline())) is None:
                raise UserError(f"{line.file}: was damaged while it was read; run again")
            yield row
    finally:
        for file in opened.values():
            file.close()
