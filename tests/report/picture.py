"""A picture of a report's first screen, as the README shows it.

python tests/report/picture.py results/report.html docs/images/answer.png
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser, find_chromium  # noqa: E402  (this folder is no package's path)


def main(report: Path, out: Path) -> None:
    program = find_chromium()
    if program is None:
        sys.exit("no Chromium on this machine (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as profile, Browser(program, Path(profile)) as browser:
        browser.call("Emulation.setScrollbarsHidden", hidden=True)
        browser.open(report, width=1100, height=800)
        height = browser.run("document.querySelector('#answer').getBoundingClientRect().bottom")
        browser.open(report, width=1100, height=round(height) + 12)
        out.write_bytes(browser.picture())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
