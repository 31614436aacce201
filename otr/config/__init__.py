"""The settings, typed: `config.load(path)` reads an experiment file, `config.machine(settings)` config.yaml."""

from otr.config.block import Block
from otr.config.blocks import (
    CODE_SCORERS,
    GENERAL_SCORERS,
    KINDS,
    MEMORY_AND_SPEED,
    Benchmark,
    Dataset,
    FewShot,
    Figure2,
    Gold,
    GoldStyle,
    Lengths,
    Method,
    Model,
    Protocol,
    Protocols,
    Scorer,
    Source,
    Training,
)
from otr.config.experiment import BASE_RUN, BASE_TUNED_RUN, Cell, Experiment, Machine, sources
from otr.config.reading import EXPERIMENTS, experiment_file, load, machine

__all__ = [
    "BASE_RUN", "BASE_TUNED_RUN", "CODE_SCORERS", "EXPERIMENTS", "GENERAL_SCORERS", "KINDS", "MEMORY_AND_SPEED",
    "Benchmark", "Block", "Cell", "Dataset",
    "Experiment", "FewShot", "Figure2", "Gold", "GoldStyle", "Lengths", "Machine", "Method", "Model", "Protocol",
    "Protocols", "Scorer", "Source", "Training", "experiment_file", "load", "machine", "sources",
]  # fmt: skip
