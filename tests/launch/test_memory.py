"""Jobs side by side share a machine's memory where a model's jobs are large."""

import psutil
from checkouts import ROOT

from otr import config
from otr.launch import preflight

EXPERIMENTS = ROOT / "workflow" / "experiments"


def test_large_models_share_what_the_machine_has() -> None:
    shared = preflight.memory(config.load(EXPERIMENTS / "qwen.yaml"))
    assert shared == psutil.virtual_memory().total // 10**6


def test_models_made_here_are_small() -> None:
    assert preflight.memory(config.load(EXPERIMENTS / "micro.yaml")) is None
