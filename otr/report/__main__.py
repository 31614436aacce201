"""`python -m otr.report`: an experiment's results as one HTML page.

    python -m otr.report --experiment workflow/experiments/micro.yaml --out results/micro/report.html

Reads results/<experiment>/ as far as it is finished: tables, scores, training curves, length histograms, samples, times
and provenance. The page needs no network and no other file.
"""

from pathlib import Path

from otr.command.stage import Stage
from otr.files import write_text
from otr.report.page import render


def main(arguments: list[str] | None = None) -> None:
    stage = Stage("python -m otr.report", __doc__)
    stage.add("--results", type=Path, default=Path("results"), help="folder of all results (default: results)")
    stage.add("--out", type=Path, required=True, help="the HTML file to write")
    with stage.run(arguments) as (experiment, options):
        text = render(experiment, options.results)
        write_text(options.out, text)
        stage.done(f"{options.out}: {len(text.encode()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
