"""Whole sequences packed into micro-batches under a token budget, without padding, balanced over ranks.

In: the sequences of one optimizer step. Out: micro-batches, each one row of tokens [1, T] whose `position_ids` restart
at every sequence; attention stays within sequences (otr/models/attention.py). Nothing is cut and nothing is padded:
a sequence longer than the budget gets a micro-batch of its own.

    balanced([70, 20, 60, 30, 40], budget=100)        # [[1, 2], [0], [3, 4]]: 80, 70 and 70 tokens
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from otr.data.chat import Tokens
from otr.loss.objective import IGNORED


@dataclass(frozen=True)
class MicroBatch:
    """n packed sequences, with T the sum of their lengths."""

    input_ids: Tensor  # [1, T] int64
    position_ids: Tensor  # [1, T] int64, restarting at 0
    labels: Tensor  # [T] int64, the next token, IGNORED where nothing is trained
    examples: Tensor  # [T] int64, id of the example a token belongs to
    weights: Tensor  # [T] float32, the share of a token's loss in the step's: their sum over all trained tokens is 1
    trained: Tensor  # [t] int64, the places whose label is not IGNORED
    boundaries: Tensor  # [n + 1] int32, where the sequences begin, and T
    lengths: tuple[int, ...]

    def to(self, device: torch.device) -> "MicroBatch":
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "MicroBatch":
        """In page-locked memory, from which a GPU copies by itself."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "MicroBatch":
        tensors = {name: change(value) for name, value in vars(self).items() if name != "lengths"}
        return replace(self, **tensors)  # type: ignore[arg-type]


def balanced(lengths: Sequence[int], budget: int, ranks: int = 1) -> list[list[int]]:
    """Indices in groups of at most `budget` tokens, near equal, their number a multiple of `ranks`; heaviest first.

    Each length, longest first, goes to the lightest group; if that overflows one there are `ranks` more groups. Without
    overflow two groups differ by at most the longest sequence. The same lengths always give the same groups. A group
    is empty only where there are more ranks than sequences to share.
    """
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    count = -(-max(1, -(-sum(lengths) // budget)) // ranks) * ranks
    while True:
        groups: list[list[int]] = [[] for _ in range(count)]
        totals = [0] * count
        for index in longest_first:
            lightest = totals.index(min(totals))
            groups[lightest].append(index)
            totals[lightest] += lengths[index]
        fits = all(total <= budget or len(group) == 1 for total, group in zip(totals, groups, strict=True))
        if fits or count >= len(lengths):
            order = sorted(range(count), key=lambda number: (-totals[number], number))
            return [sorted(groups[number]) for number in order]
        count += ranks


def pack(
    sequences: Sequence[tuple[int, Tokens]], budget: int, normalisation: str, rank: int = 0, ranks: int = 1
) -> list[MicroBatch]:
    """The micro-batches of one rank, equally many on every rank; `sequences` are (example id, tokens) of all ranks.

    `normalisation` sets the weights: 'token' gives every trained token of the step the same, 'sequence' every sequence.
    A rank without a share of its own goes through the motions on the shortest sequence, untrained: sharded models
    work only when all ranks do.
    """
    groups = balanced([len(tokens.ids) for _, tokens in sequences], budget, ranks)[rank::ranks]
    shortest = min(sequences, key=lambda pair: len(pair[1].ids))
    total = _total_weight(sequences, normalisation)
    return [
        _micro_batch([sequences[index] for index in group], normalisation, total)
        if group
        else _micro_batch([shortest], normalisation, total, trained=False)
        for group in groups
    ]


def _total_weight(sequences: Sequence[tuple[int, Tokens]], normalisation: str) -> int:
    """What the summed loss of a step is divided by, over all ranks: trained tokens, or sequences."""
    if normalisation == "sequence":
        return len(sequences)
    return sum(len(tokens.ids) - tokens.prompt for _, tokens in sequences)


def _micro_batch(
    sequences: list[tuple[int, Tokens]], normalisation: str, total: int, trained: bool = True
) -> MicroBatch:
    ids: list[int] = []
    positions: list[int] = []
    labels: list[int] = []
    examples: list[int] = []
    weights: list[float] = []
    boundaries = [0]
    for example, tokens in sequences:
        length = len(tokens.ids)
        ids += tokens.ids
        positions += range(length)
        labels += tokens.labels if trained else [IGNORED] * length
        examples += [example] * length
        weights += [1 / total if normalisation == "token" else 1 / total / (length - tokens.prompt)] * length
        boundaries.append(boundaries[-1] + length)
    return MicroBatch(
        torch.tensor([ids]),
        torch.tensor([positions]),
        torch.tensor(labels),
        torch.tensor(examples),
        torch.tensor(weights, dtype=torch.float32),
        torch.tensor([place for place, label in enumerate(labels) if label != IGNORED], dtype=torch.int64),
        torch.tensor(boundaries, dtype=torch.int32),
        tuple(len(tokens.ids) for _, tokens in sequences),
    )
