"""`otr report`: an experiment's results as one HTML page.

    otr report --experiment workflow/experiments/micro.yaml --out results/micro/report.html

Reads results/<experiment>/ as far as it is finished: tables, scores, training curves, length histograms, samples, times
and provenance. The page needs no network and no other file.
"""

from collections.abc import Iterable
from pathlib import Path

from otr.command.stage import Stage
from otr.files import replacing, write_text
from otr.report.page import render


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("otr report", __doc__)
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--out", type=Path, required=True, help="the HTML file to write")
    with stage.run(arguments) as (experiment, options):
        text, pages = render(experiment, options.results)
        count = _write_pages(pages, options.out.with_suffix(""))
        write_text(options.out, text)
        beside = f", and {count} pages of completions beside it" if count else ""
        stage.done(f"{options.out}: {len(text.encode()) / 1e6:.1f} MB{beside}")


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
