"""What the JSON files between stages hold: score.json, sampling.json and run.json, typed and checked when read.

ScoreFile.read(path).score      29.5, checked: a number from 0 to 100
"""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from otr.config import Cell
from otr.errors import UserError
from otr.files import read_record

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
    example_prompt: str = ""
    provenance: dict[str, Any]

    @property
    def cell(self) -> Cell:
        return Cell(self.model, self.run, self.benchmark)


class Drawn(Record):
    """What the last call of the sampling stage added to a benchmark's completions."""

    completions: Count = 0
    tokens: Count = 0
    seconds_of_all_benchmarks: Seconds = 0.0
    """The benchmarks of a run share their engines, and so the time."""
    engines: Count = 1


class SamplingFile(Record):
    """sampling.json: how a benchmark's completions were made."""

    engine: str = ""
    dtype: str = ""
    decoding: dict[str, Any] = {}
    engine_seconds: Seconds | None = None
    """To start the engine."""
    drawn_now: Drawn | None = None
    checkpoint_sha256: str = ""
    samples_sha256: str = ""
    example_prompt: str = ""


class RunFile(Record):
    """run.json of a training (`steps` and what follows are None for a base model)."""

    model: str
    run: str
    method: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    steps: Count | None = None
    examples: Count | None = None
    dropped_over_length: Count | None = None
    trained_tokens: Count | None = None
    seconds: Seconds | None = None
    tokens_per_second: Seconds | None = None
    teraflops_a_rank: Seconds | None = None
    peak_memory_gb: Seconds | None = None
    ranks: Count | None = None
    device: str | None = None
