"""Generate the micro world into a folder.

    otr generate --seed 0 --out DIR

writes documents.jsonl.gz (pre-training), tuning.jsonl (worked solutions), benchmarks/<name>.jsonl and
few_shot/<name>.jsonl. Same seed, same bytes.
"""

from pathlib import Path
from random import Random

from otr.command.stage import Command
from otr.data.micro.benchmarks import benchmarks, few_shot
from otr.data.micro.documents import documents, tuning_rows
from otr.files import replacing, write_jsonl

DOCUMENTS = 64_000
TUNING_ROWS = 8_000


def generate(seed: int, out: Path) -> None:
    """Write the whole micro world; `out` appears when it is complete."""
    with replacing(out) as folder:
        write_jsonl(folder / "documents.jsonl.gz", documents(Random(f"{seed} documents"), DOCUMENTS))
        write_jsonl(folder / "tuning.jsonl", tuning_rows(Random(f"{seed} tuning"), TUNING_ROWS))
        for name, rows in benchmarks(Random(f"{seed} benchmarks")).items():
            write_jsonl(folder / "benchmarks" / f"{name}.jsonl", rows)
        for name, rows in few_shot(Random(f"{seed} few-shot")).items():
            write_jsonl(folder / "few_shot" / f"{name}.jsonl", rows)


def main(arguments: list[str] | None = None) -> None:
    command = Command("otr generate", __doc__)
    command.add("--seed", type=int, default=0, help="seed of all draws")
    command.add("--out", type=Path, required=True, help="folder to make")
    with command.work(arguments) as options:
        generate(options.seed, options.out)
        command.done(f"{options.out}: generated with seed {options.seed}")


if __name__ == "__main__":
    main()
