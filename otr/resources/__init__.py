"""Files that come with the package: the published tables' cells, shapes of known models, few-shot demonstrations."""

from pathlib import Path

RESOURCES = Path(__file__).resolve().parent
