"""Completions of one benchmark, kept as they come until all are there.

    store = Store(Path("eval/large/otr/.store/gsm8k"), "5f3a9c0d1e2b4f60")
    with store.writer() as writer:
        writer.add({"problem": "0", "sample": 2, "completion": "...", "tokens": 64, ...})
    store.tokens()          # {("0", 2): 64}
    store.pack(keys, samples)

    .store/gsm8k/5f3a9c0d1e2b4f60.<process>.jsonl    what one process wrote; a process opens a new file, never another's
    .store/gsm8k/5f3a9c0d1e2b4f60.jsonl.gz           all of them in order: a second name of samples.jsonl.gz

Any number of processes may write at once, and any may read meanwhile. Nothing is ever repaired: a killed process leaves
a half-written last line, which readers pass over. The fingerprint stands for everything that decides a completion, so
two lines of one key are the same completion.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from otr.errors import UserError
from otr.files import Row, parse_row, read_jsonl, replacing, write_jsonl

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
        self._file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
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

    @property
    def packed(self) -> Path:
        """The completions once all are there."""
        return self.folder / f"{self.fingerprint}.jsonl.gz"

    def writer(self) -> Writer:
        return Writer(self.folder / f"{self.fingerprint}.{uuid.uuid4().hex[:12]}.jsonl")

    def tokens(self) -> dict[Key, int]:
        """The completions already there, each with its number of tokens."""
        if self.packed.exists():
            return {_key(row): row["tokens"] for row in read_jsonl(self.packed)}
        return {key: line.tokens for key, line in self._lines().items()}

    def pack(self, keys: Iterable[Key], samples: Path) -> None:
        """Write samples.jsonl.gz in the order of `keys`, which must all be there. The store becomes a second name of
        that very file, so it outlives Snakemake's removal of outputs and costs no disk."""
        if self.packed.exists():
            with replacing(samples) as temporary:
                temporary.hardlink_to(self.packed)
        else:
            lines, keys = self._lines(), list(keys)
            if missing := [key for key in keys if key not in lines]:
                raise UserError(f"{self.folder}: {len(missing)} of {len(keys)} completions are missing; run again")
            write_jsonl(samples, _read(lines[key] for key in keys))
            with replacing(self.packed) as temporary:
                temporary.hardlink_to(samples)
        for other in self.folder.iterdir():
            if other != self.packed:
                other.unlink(missing_ok=True)  # a second run of this very job may be as far

    def _lines(self) -> dict[Key, _Line]:
        """Every completion's place. Texts stay on disk: those of a large suite are gigabytes."""
        found: dict[Key, _Line] = {}
        for file in sorted(self.folder.glob(f"{self.fingerprint}*.jsonl")):
            start = 0
            with file.open("rb") as raw:
                for number, text in enumerate(raw, start=1):
                    if not text.endswith(b"\n"):
                        break
                    row = parse_row(text.decode(errors="replace"), file, number)
                    found[_key(row)] = _Line(file, start, row["tokens"])
                    start += len(text)
        return found


def _key(row: Row) -> Key:
    return row["problem"], row["sample"]


def _read(lines: Iterable[_Line]) -> Iterator[Row]:
    opened: dict[Path, BinaryIO] = {}
    try:
        for line in lines:
            if line.file not in opened:
                opened[line.file] = line.file.open("rb")
            opened[line.file].seek(line.start)
            yield json.loads(opened[line.file].readline())
    finally:
        for file in opened.values():
            file.close()
