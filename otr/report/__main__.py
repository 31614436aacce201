"""`otr report`: an experiment's results as one HTML page.

    otr report --experiment workflow/experiments/micro.yaml --out results/micro/report.html

Reads results/<experiment>/ as far as it is finished: tables, scores, training curves, length histograms, samples, times
and provenance. The page needs no network and no other file.
"""

from collections.abc import Iterable
from pathlib import Path

from otr.command.stage import Stage
from otr.config import Experiment
from otr.files import replacing, write_text
from otr.report.page import render


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr report", __doc__)
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--out", type=Path, required=True, help="the HTML file to write")
    with stage.run(arguments) as (experiment, options):
        count = write(experiment, options.results, options.out)
        beside = f", and {count} pages of completions beside it" if count else ""
        stage.done(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB{beside}")


def write(experiment: Experiment, results: Path, out: Path) -> int:
    """Write the report, and its pages of completions into the folder of its name; their number."""
    text, pages = render(experiment, results)
    count = _write_pages(pages, out.with_suffix(""))
    write_text(out, text)
    return count


def _write_pages(pages: Iterable[tuple[str, str]], folder: Path) -> int:
    """The folder holds these pages and no older ones; their number."""
    count = 0
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, text in pages:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text, encoding="utf-8")
            count += 1
    if not count:
        folder.rmdir()
    return count


if __name__ == "__main__":
    main()
