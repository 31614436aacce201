"""Where a table's numbers come from, a line each, for the foot of the table.

In: the scores a table shows. Out: lines such as

    Experiment: micro
    Commit: 95a5834 (27 of 36 scores); 1c0ffee (9 of 36 scores: micro-large/otr)
    Protocol of otr, sft on all benchmarks: mean@4; max_tokens=256, prompt=chat, temperature=0.7, top_p=0.8
    Unlike scores: not all have the same commit.

Nothing here depends on when or where the table is drawn: no clock, no paths, every list in a fixed order.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from otr.config import Cell
from otr.files import flat
from otr.tables.scores import Score

LONGEST_TEXT = 80
"""Longer protocol texts (the exact prompt, say) stay in score.json."""


def provenance(experiment: str, scores: Mapping[Cell, Score]) -> tuple[str, ...]:
    """The lines for these scores, ending with what makes them unlike one another, if anything does."""
    if not scores:
        return (f"Experiment: {experiment}", "No score has been written yet.")
    commit = _Field("commit", scores, lambda score: _text(score.provenance.get("commit")))
    seed = _Field("seed", scores, lambda score: _text(score.provenance.get("seed")))
    versions = _Field("versions", scores, _versions)
    engine = _Field("engine", scores, _engine)
    lines = [
        f"Experiment: {experiment}{_settings(scores)}",
        *_rows(scores),
        f"Commit: {commit}",
        f"Seed: {seed}",
        f"Versions: {versions}",
        *([f"Engine: {engine}"] if engine.known else []),
        *_protocols(scores),
        *_chance(scores),
        *_unlike([commit, seed, versions, engine]),
    ]
    return tuple(lines)


def _settings(scores: Mapping[Cell, Score]) -> str:
    """The digest of the experiment's settings, short."""
    field = _Field("settings", scores, lambda score: _text(score.provenance.get("experiment_sha256"))[:_DIGITS])
    return f", settings {field}" if field.known else ""


def _rows(scores: Mapping[Cell, Score]) -> list[str]:
    """The digests of the rows that were trained on and asked, a line each kind."""
    trained = {str(score.provenance.get("training_rows_sha256") or "")[:_DIGITS] for score in scores.values()} - {""}
    asked = {key[2]: str(score.provenance.get("problems_sha256") or "")[:_DIGITS] for key, score in scores.items()}
    lines = [f"Training rows: {', '.join(sorted(trained))}"] if trained else []
    problems = ", ".join(f"{name} {digest}" for name, digest in asked.items())
    return [*lines, *([f"Problems: {problems}"] if all(asked.values()) else [])]


_DIGITS = 12
"""Digits of a SHA-256 that a foot shows."""


class _Field:
    """One property of all scores: its values, and which scores have which."""

    def __init__(self, name: str, scores: Mapping[Cell, Score], read: Callable[[Score], str]) -> None:
        self.name = name
        self._scores = scores
        self.values: dict[str, list[Cell]] = {}
        for key, score in scores.items():
            self.values.setdefault(read(score), []).append(key)

    @property
    def known(self) -> bool:
        return list(self.values) != ["unknown"]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return next(iter(self.values))
        most_frequent_first = sorted(self.values.items(), key=lambda item: (-len(item[1]), item[0]))
        total = len(self._scores)
        texts = []
        for position, (value, keys) in enumerate(most_frequent_first):
            which = f": {', '.join(_which(keys, self._scores))}" if position else ""
            texts.append(f"{value} ({len(keys)} of {total} scores{which})")
        return "; ".join(texts)


def _which(keys: Iterable[Cell], scores: Mapping[Cell, Score]) -> list[str]:
    """model/run where all its scores are meant, else model/run/benchmark."""
    chosen = set(keys)
    names = []
    for model, run in dict.fromkeys(key[:2] for key in scores):
        own = [key for key in scores if key[:2] == (model, run)]
        meant = [key for key in own if key in chosen]
        names += [f"{model}/{run}"] if meant == own else ["/".join(key) for key in meant]
    return names


def _protocols(scores: Mapping[Cell, Score]) -> list[str]:
    """One line for each way of asking, with the runs and benchmarks asked so."""
    every_benchmark = _names(key[2] for key in scores)
    asked: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for run in _names(key[1] for key in scores):
        by_text: dict[str, list[str]] = {}
        for key, score in scores.items():
            if key[1] == run:
                by_text.setdefault(_protocol_text(score), []).append(key[2])
        for text, own_benchmarks in by_text.items():
            asked.setdefault((text, _names(own_benchmarks)), []).append(run)
    lines = []
    for (text, shared), runs in asked.items():
        where = "all benchmarks" if shared == every_benchmark else ", ".join(shared)
        lines.append(f"Protocol of {', '.join(runs)} on {where}: {text}")
    return lines


def _chance(scores: Mapping[Cell, Score]) -> list[str]:
    """What guessing would give on the benchmarks where it gives something."""
    chances = {key[2]: score.chance for key, score in scores.items() if score.chance is not None}
    shown = ", ".join(f"{benchmark} {chance:.2f}" for benchmark, chance in chances.items())
    return [f"Random guessing would give: {shown}"] if shown else []


def _names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in order of first appearance."""
    return tuple(dict.fromkeys(names))


def _protocol_text(score: Score) -> str:
    settings = [
        f"{key}={_text(value)}" for key, value in sorted(flat(dict(score.protocol)).items()) if _is_short(value)
    ]
    return "; ".join(part for part in (score.metric, ", ".join(settings)) if part)


def _is_short(value: Any) -> bool:
    text = _text(value)
    return (
        value not in (None, "") and len(text) <= LONGEST_TEXT and "\n" not in text and not text.startswith(("/", "~"))
    )


def _text(value: Any) -> str:
    if value is None or value == "":
        return "unknown"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _versions(score: Score) -> str:
    """Python, the packages and the processor: what may change a number."""
    packages = score.provenance.get("versions")
    named = {"python": score.provenance.get("python"), **(packages if isinstance(packages, dict) else {})}
    texts = [f"{package} {_text(version)}" for package, version in sorted(named.items()) if version]
    machine = score.provenance.get("machine")
    return ", ".join(texts) + (f" on {_text(machine)}" if machine else "") or "unknown"


def _engine(score: Score) -> str:
    return _text(score.provenance.get("engine", score.protocol.get("engine")))


def _unlike(fields: Iterable[_Field]) -> list[str]:
    """What a reader must know before comparing these numbers with one another, or with the paper's (vLLM)."""
    fields = list(fields)
    lines = [f"Unlike scores: not all have the same {field.name}." for field in fields if len(field.values) > 1]
    engines = next(field for field in fields if field.name == "engine")
    others = sorted(value for value in engines.values if value != "unknown" and not value.startswith("vllm"))
    if others:
        lines.append(f"Unlike the default engine: sampled with {', '.join(others)} instead of vllm.")
    return lines
