"""Whether files of a results tree are still what their records say.

    folder                             record            says of
    data/<dataset>/                    summary.json      train.parquet
    train/<model>/<run>/               run.json          checkpoint/, metrics.jsonl
    problems/<benchmark>/              summary.json      problems.jsonl, demonstrations.jsonl
    eval/<model>/<run>/<benchmark>/    sampling.json     samples.jsonl.gz
                                       score.json        verdicts.jsonl.gz

A record holds its own checksum and, under "sha256", the digest of each file (otr/files.py, write_record). A stage
checks what it reads: a damaged file is refused, never used. `otr verify` checks everything.
"""

from pathlib import Path

from otr.errors import UserError
from otr.files import Row, read_record, sha256

RECORDS = {
    "train.parquet": "summary.json",
    "checkpoint": "run.json",
    "metrics.jsonl": "run.json",
    "problems.jsonl": "summary.json",
    "demonstrations.jsonl": "summary.json",
    "samples.jsonl.gz": "sampling.json",
    "verdicts.jsonl.gz": "score.json",
}
"""A file of the tree -> the record beside it."""


def hashes(*files: Path) -> Row:
    """What a record says of the files beside it: {"sha256": {"train.parquet": "5f3a..."}}."""
    return {"sha256": {file.name: sha256(file) for file in files}}


def trained_on(checkpoint: Path) -> str | None:
    """The digest of the rows that a checkpoint was trained on; None for a base model and a user's own folder."""
    record = checkpoint.parent / "run.json"
    return read_record(record).get("data_sha256") if record.exists() else None


def checked(path: Path) -> Path:
    """The path itself, for a reader. UserError when it is damaged."""
    check(path)
    return path


def check(path: Path, full: bool = False) -> str | None:
    """UserError when a file or folder is not what the record beside it says. Its digest; None where no record speaks of
    it, as beside a file that the user made.

    full: read every byte, and trust no digest that was remembered (otr/files.py).
    """
    record = path.parent / RECORDS.get(path.name, "none")
    if not record.exists():
        return None
    expected = read_record(record).get("sha256", {}).get(path.name)
    if expected is None:
        return None
    if not path.exists():
        raise UserError(f"{path}: is missing, {record.name} says it is there; run again")
    if sha256(path, full) != expected:
        raise UserError(
            f"{path}: was damaged or changed (it is not what {record.name} says); delete it and run again, "
            "or restore a copy"
        )
    return str(expected)
