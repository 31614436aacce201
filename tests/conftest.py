"""What several test files share: a copy of the checkout to run Snakemake in, and the folder of real rows."""

import os
import shutil
from pathlib import Path

import pytest
from checkouts import MICRO, ROOT, Checkout, copy_of_tree, reduced
from hypothesis import settings

# A deadline measures how busy the machine is, not what a test states.
settings.register_profile("otr", deadline=None)
settings.load_profile("otr")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA GPU")


@pytest.fixture(scope="session")
def real_rows() -> Path:
    """Folder of real benchmark rows; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("OTR_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsm8k_test_200.jsonl").exists():
        pytest.skip(f"no real benchmark rows in {folder}; set OTR_DATA to their folder")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return copy_of_tree(tmp_path / "checkout")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which everything was built: the default experiment, less of everything.

    Read it only; `finished` is a copy that may be changed.
    """
    made = copy_of_tree(tmp_path_factory.mktemp("built") / "checkout")
    (made.folder / MICRO).write_text(reduced((made.folder / MICRO).read_text()))
    run = made.snakemake("--cores", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    return made


@pytest.fixture
def finished(built: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the built checkout; times and Snakemake's records come along."""
    shutil.copytree(built.folder, tmp_path / "checkout", symlinks=True)
    return Checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the micro experiment's generator."""
    from otr.data.micro.__main__ import generate

    folder = tmp_path_factory.mktemp("micro") / "generated"
    generate(0, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3 checkpoint with tokenizer and chat template, pre-trained for a few steps only."""
    from otr.config.pretraining import PretrainSettings
    from otr.models.pretrain import pretrain

    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    settings = PretrainSettings(hidden_size=64, layers=2, heads=2, intermediate_size=128, positions=1024, steps=30)
    pretrain(settings, generated / "documents.jsonl.gz", folder, 0)
    return folder
