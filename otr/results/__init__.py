"""The one owner of the results tree: where its files lie, what they hold, whether they are still what was written."""

from otr.results.records import Drawn, Record, RunFile, SamplingFile, ScoreFile
from otr.results.tree import Paths, Tree

__all__ = ["Drawn", "Paths", "Record", "RunFile", "SamplingFile", "ScoreFile", "Tree"]
