"""Rows from where they lie: local JSONL or parquet files, the Hugging Face hub, the experiment's generator, or the
project itself.

    rows = load_rows(Source(path="gsm8k_test*.jsonl"), folders, needs=["question", "answer"])
    rows[0]["question"]      # "A baker fills 12 trays with ..."

A row is a plain dict as the source has it; nothing is renamed or cleaned here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from otr.config import Benchmark, Experiment, Source
from otr.config import sources as all_sources
from otr.data.hub import dataset_files
from otr.data.rows import column
from otr.errors import UserError, first_line
from otr.files import Row, read_jsonl
from otr.resources import RESOURCES

EVALPLUS_COLUMNS = [
    "task_id", "prompt", "entry_point", "canonical_solution", "contract", "base_input", "plus_input", "atol",
]  # fmt: skip


@dataclass(frozen=True)
class Folders:
    """Where relative names of sources lie."""

    data: Path
    """For `path` sources: the `data` folder of config.yaml."""
    generated: Path
    """For `generated` sources: the output of the experiment's generator."""


def load_rows(source: Source, folders: Folders, needs: Iterable[str], limit: int | None = None) -> list[Row]:
    """All rows of a source, or its first `limit`, each checked to hold the columns `needs` (dotted paths).

    UserError names the file and line, or the data set and row, that is at fault.
    """
    needs = list(needs)
    found: list[Row] = []
    for file in source_files(source, folders):
        for number, row in enumerate(_file_rows(file, None), start=1):
            if limit is not None and len(found) == limit:
                return found
            if not row:  # an object without a single column is a blank line
                continue
            found.append(_checked(row, needs, f"{file}:{number}"))
    if not found:
        raise UserError(f"{', '.join(map(str, source_files(source, folders)))}: holds no rows; at least one is needed")
    return found


def stream_rows(source: Source, folders: Folders, columns: Iterable[str]) -> Iterator[Row]:
    """The rows of a source one after another, a few hundred in memory at a time. Of each only the top columns of the
    dotted paths `columns` need be there: parquet files are read no further. UserError when a parquet file lacks one."""
    names = list(dict.fromkeys(path.split(".")[0] for path in columns))
    for file in source_files(source, folders):
        yield from (row for row in _file_rows(file, names) if row)


def source_files(source: Source, folders: Folders) -> list[Path]:
    """The files of a source in order; UserError when there is none. A hub's are fetched."""
    if source.hub is not None:
        return dataset_files(source)
    if source.generated is not None:
        return [folders.generated / source.generated]
    if source.shipped is not None:
        return [RESOURCES / source.shipped]
    if source.evalplus is not None:
        return [_evalplus_file(source.evalplus)]
    assert source.path is not None
    pattern = Path(source.path)
    base = Path(pattern.anchor) if pattern.is_absolute() else folders.data
    files = sorted(base.glob(str(pattern.relative_to(pattern.anchor) if pattern.is_absolute() else pattern)))
    if not files:
        raise UserError(
            f"no file matches '{base / pattern}'; put the rows there, or set the folder with --config data=DIR "
            "(the key 'data' of config.yaml), or name a hub data set instead of a path"
        )
    for file in files:
        if file.suffixes[-1:] != [".parquet"] and ".jsonl" not in file.suffixes[-2:]:
            raise UserError(f"{file}: unknown kind of file; allowed: .jsonl, .jsonl.gz, .parquet")
    return files


LOOKED_AT = 1000
"""Rows of a parquet file that are looked at before any work starts: its columns hold for all of them, and a source of
gigabytes would delay every call."""


def check_local_sources(experiment: Experiment, file: str, folders: Folders) -> None:
    """Read every local source once, so that a bad line is reported before any work starts.

    UserError names the experiment file and key as well as the rows' file and line.
    """
    for key, source in all_sources(experiment):
        if source.path is not None or source.shipped is not None:
            try:
                _check(source_files(source, folders), _columns(experiment, key))
            except UserError as error:
                raise UserError(f"{file}: {key}: {error}") from None


def _check(files: list[Path], needs: list[str]) -> None:
    names = list(dict.fromkeys(path.split(".")[0] for path in needs))
    count = 0
    for file in files:
        rows = _file_rows(file, names)
        for number, row in enumerate(islice(rows, LOOKED_AT if file.suffix == ".parquet" else None), start=1):
            if row:
                _checked(row, needs, f"{file}:{number}")
                count += 1
    if not count:
        raise UserError(f"{', '.join(map(str, files))}: holds no rows; at least one is needed")


def _columns(experiment: Experiment, key: str) -> list[str]:
    """The columns that the block with this source reads."""
    group, name, *inner = key.split(".")
    if group == "datasets":
        dataset = experiment.datasets[name]
        if dataset.only_if is None:
            return [dataset.problem, dataset.solution]
        # A row that is not kept may lack what lies deeper (a trace, its verification).
        return [path.split(".")[0] for path in (dataset.problem, dataset.solution, dataset.only_if)]
    benchmark = experiment.benchmarks[name]
    if inner[0] == "few_shot" and benchmark.few_shot:
        return [benchmark.few_shot.problem, benchmark.few_shot.solution]
    return needed_columns(benchmark)


def needed_columns(benchmark: Benchmark) -> list[str]:
    """The columns that a benchmark's rows must have; evalplus says what its own need."""
    gold = benchmark.gold.column if benchmark.gold else None
    named = [benchmark.problem, gold, benchmark.options, benchmark.category, benchmark.mini]
    evalplus = EVALPLUS_COLUMNS if benchmark.kind == "code" else []
    return [*(name for name in named if name is not None), *evalplus]


def _checked(row: Row, needs: list[str], where: str) -> Row:
    for path in needs:
        try:
            value = column(row, path)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if value is None:
            raise UserError(f"{where}: column '{path}' is empty")
    return row


_KINDS = {
    b"\x1f\x8b": ("gzip-compressed", ".jsonl.gz"),
    b"PAR1": ("parquet", ".parquet"),
    b"\x28\xb5\x2f\xfd": ("zstandard-compressed", ""),
    b"PK\x03\x04": ("a zip archive", ""),
    b"BZh": ("bzip2-compressed", ""),
    b"\xfd7zXZ": ("xz-compressed", ""),
    b"\xff\xfe": ("UTF-16 text", ""),
    b"\xfe\xff": ("UTF-16 text", ""),
    b"version https://git-lfs": ("a Git LFS pointer, not the data (`git lfs pull` fetches it)", ""),
}
"""First bytes of a file -> what it is, and the end of a name under which it can be read."""


def _check_kind(file: Path) -> None:
    """UserError when a file is not what its name says."""
    if file.is_dir():
        raise UserError(f"{file}: is a folder, a file of rows is needed; a glob names the files in it: '{file.name}/*'")
    try:
        with file.open("rb") as raw:
            begin = raw.read(32)
    except PermissionError:
        raise UserError(f"{file}: may not be read; change its rights") from None
    for mark, (kind, ending) in _KINDS.items():
        if begin.startswith(mark) and not (ending and file.name.endswith(ending)):
            remedy = f"call it *{ending}" if ending else "unpack or save it as UTF-8 JSONL"
            raise UserError(f"{file}: is {kind}, its name says otherwise; {remedy}")
    if file.suffix == ".gz" and begin[:2] != b"\x1f\x8b":
        raise UserError(f"{file}: is not gzip-compressed, its name says so; drop .gz from its name")
    if file.suffix == ".parquet" and begin[:4] != b"PAR1":
        raise UserError(f"{file}: is not parquet, its name says so; copy it again, or call it *.jsonl if it is text")


def _file_rows(file: Path, columns: list[str] | None) -> Iterator[Row]:
    """Rows with these columns at least; all columns where None."""
    _check_kind(file)
    if file.suffix == ".parquet":
        yield from _parquet_rows(file, columns)
    elif file.suffix in _OTHER_KINDS:  # of hub repositories; local sources are refused earlier
        yield from _other_rows(file)
    else:
        yield from read_jsonl(file, remedy="save it as UTF-8 text, or copy it again")


BATCH = 256
"""Rows of a parquet file in memory at a time; those of long reasoning traces take some 100 kB each."""


def _parquet_rows(file: Path, columns: list[str] | None) -> Iterator[Row]:
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(file, buffer_size=1 << 23) as opened:  # never a whole row group
            there = opened.schema_arrow.names
            for name in columns or []:
                if name not in there:
                    raise UserError(f"{file}:1: has no column '{name}'; found: {', '.join(there)}")
            # A reader of them all would hold the pages of every row group it has passed: 20 MB a thousand traces.
            for group in range(opened.num_row_groups):
                for batch in opened.iter_batches(BATCH, row_groups=[group], columns=columns):
                    yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not readable as parquet ({error})") from None


_OTHER_KINDS = {".json": "json", ".csv": "csv", ".tsv": "csv", ".arrow": "arrow"}
"""Kinds of files that publishers use besides parquet and JSONL, and the reader of `datasets` for each."""


def _other_rows(file: Path) -> Iterator[Row]:
    import datasets

    options = {"sep": "\t"} if file.suffix == ".tsv" else {}
    try:
        kind = _OTHER_KINDS[file.suffix]
        yield from datasets.load_dataset(kind, data_files=str(file), split="train", streaming=True, **options)
    except Exception as error:  # each reader raises its own kinds
        raise UserError(f"{file}: not readable ({first_line(error)})") from None


def _evalplus_file(name: Literal["humaneval", "mbpp"]) -> Path:
    """evalplus's own data set, fetched into its cache on first use. Its reader turns MBPP's inputs into Python objects,
    which no JSONL file can hold; so the file itself is taken, and grading lets evalplus read them."""
    from evalplus.data import humaneval, mbpp

    ready = {"humaneval": humaneval._ready_human_eval_plus_path, "mbpp": mbpp._ready_mbpp_plus_path}
    try:
        return Path(ready[name]())
    except OSError as error:
        raise UserError(
            f"evalplus data set '{name}' cannot be fetched ({error}); put its JSONL file into the data folder and name "
            "it by source: {path: ...}"
        ) from None
