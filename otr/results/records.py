"""What the JSON files between stages hold: score.json, sampling.json and run.json, typed and checked.

    ScoreFile.read(path).score      29.5, checked: a number from 0 to 100

A key that was not given is not written. `sha256` holds the digests of the files beside a record, by their names.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from otr.config import Cell
from otr.errors import UserError
from otr.files import read_record, write_record
from otr.results.integrity import hashes

Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class Record(BaseModel):
    """A JSON file of the tree with its own checksum. Keys beyond the named ones are kept, as a later version may
    write more."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """UserError names the file, the first bad key and what was found there."""
        try:
            return cls.model_validate(read_record(path))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            found = "is missing" if first["type"] == "missing" else f"found {first['input']!r}"
            raise UserError(f"{path}: {key}: {found}: {first['msg'][0].lower()}{first['msg'][1:]}") from None

    @classmethod
    def found(cls, path: Path) -> Self | None:
        """As `read`; None while the file is not there."""
        return cls.read(path) if path.exists() else None

    def write(self, path: Path, *files: Path) -> None:
        """With a checksum of its own and the digests of these files beside it."""
        write_record(path, self.model_dump(mode="json", exclude_unset=True) | hashes(*files))


class ScoreFile(Record):
    """score.json: what a benchmark's grading came to."""

    experiment: str
    model: str
    run: str
    benchmark: str
    metric: str = ""
    """mean@4, pass@1, exact match."""
    score: Percent
    """Unrounded."""
    score_rounded: Percent | None = None
    """As the paper rounds."""
    standard_error: Percent | None = None
    interval: Annotated[tuple[Percent, Percent], Field(strict=False)] | None = None
    """95 %, in percent."""
    problems: Count
    samples: Count
    """Completions over all problems."""
    empty: Count | None = None
    """Of these, without any text but spaces."""
    details: dict[str, Any] = {}
    """What only this kind of grading counts."""
    protocol: dict[str, Any]
    """How completions were asked for, as it took effect."""
    stop_ids: list[int] = []
    stop_texts: list[str] = []
    example_prompt: str = ""
    provenance: dict[str, Any]
    sha256: dict[str, str] = {}

    @property
    def cell(self) -> Cell:
        return Cell(self.model, self.run, self.benchmark)


class Drawn(Record):
    """What the last call of the sampling stage added to a benchmark's completions."""

    completions: Count = 0
    tokens: Count = 0
    seconds_of_all_benchmarks: Seconds = 0.0
    """The benchmarks of a run share their engines, and so the time."""
    tokens_per_second: Count = 0
    engines: Count = 1


class SamplingFile(Record):
    """sampling.json: how a benchmark's completions were made."""

    engine: str = ""
    dtype: str = ""
    decoding: dict[str, Any] = {}
    """As it took effect (otr/evaluation/engine.py, Decoding)."""
    seed: int = 0
    checkpoint_sha256: str = ""
    training_rows_sha256: str | None = None
    """Of the rows that the checkpoint was trained on; None for a base model."""
    fingerprint: str = ""
    """Of everything that decides a completion."""
    example_prompt: str = ""
    engine_seconds: Seconds | None = None
    """To start the engine."""
    drawn_now: Drawn | None = None
    provenance: dict[str, Any] = {}
    sha256: dict[str, str] = {}


class RunFile(Record):
    """run.json of a base model, or of a training."""

    experiment: str = ""
    model: str
    run: str
    origin: dict[str, Any] = {}
    """Of a base model: where its weights came from."""
    gguf: dict[str, Any] = {}
    """Of a base model from a GGUF file: what was converted."""
    method: dict[str, Any] = {}
    """From here to `peak_memory_gb`: of a training."""
    recipe: dict[str, Any] = {}
    computed_in: str = ""
    seed: int = 0
    data_sha256: str = ""
    base_sha256: str = ""
    examples: Count | None = None
    dropped_over_length: Count | None = None
    steps: Count | None = None
    trained_tokens: Count | None = None
    seconds: Seconds | None = None
    tokens_per_second: Count | None = None
    device: str | None = None
    ranks: Count | None = None
    teraflops_a_rank: Seconds | None = None
    peak_memory_gb: Seconds | None = None
    provenance: dict[str, Any] = {}
    sha256: dict[str, str] = {}
