"""What several test files share: a copy of the checkout to run Snakemake in, and the folder of real rows."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_rows() -> Path:
    """Folder of real benchmark rows; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("OTR_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsm8k_test_200.jsonl").exists():
        pytest.skip(f"no real benchmark rows in {folder}; set OTR_DATA to their folder")
    return folder


@dataclass(frozen=True)
class Checkout:
    """A copy of the tracked tree, without results, that a test may change."""

    folder: Path

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=600)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) >= 1, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new, 1))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("otr", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return Checkout(folder)
