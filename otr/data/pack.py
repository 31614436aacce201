"""Whole sequences packed into micro-batches under a token budget, without padding.

In: sequences of one optimizer step. Out: micro-batches, each one row of tokens [1, T] whose `position_ids` restart at
every sequence; transformers then attends within sequences only. Nothing is cut and nothing is padded: a sequence longer
than the budget gets a micro-batch of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from otr.data.chat import Tokens

IGNORED = -100


@dataclass(frozen=True)
class MicroBatch:
    """Packed sequences; every tensor is int64 but `weights`, with T the sum of their lengths."""

    input_ids: Tensor  # [1, T]
    position_ids: Tensor  # [1, T], restarting at 0
    labels: Tensor  # [T], the next token, IGNORED where nothing is trained
    examples: Tensor  # [T], id of the example a token belongs to
    weights: Tensor  # [T] float32, the share of a token in the step's loss before it is normalised

    def to(self, device: torch.device) -> "MicroBatch":
        return MicroBatch(*(tensor.to(device, non_blocking=True) for tensor in vars(self).values()))


def bins(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices grouped so that each group's lengths sum to at most `budget` (first fit, longest first).

    The same lengths always give the same groups. First-fit-decreasing needs at most 11/9 of the fewest groups.
    """
    groups: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        place = next((group for group, free in enumerate(room) if lengths[index] <= free), None)
        if place is None:
            groups.append([])
            room.append(budget)
            place = len(groups) - 1
        groups[place].append(index)
        room[place] -= lengths[index]
    return [sorted(group) for group in groups]


def pack(sequences: Sequence[tuple[int, Tokens]], budget: int, normalisation: str) -> list[MicroBatch]:
    """Pack (example id, tokens) pairs.

    `normalisation` sets the weights: 'token' gives every trained token 1, 'sequence' gives each sequence 1 in all.
    """
    groups = bins([len(tokens.ids) for _, tokens in sequences], budget)
    return [_micro_batch([sequences[index] for index in group], normalisation) for group in groups]


def _micro_batch(sequences: list[tuple[int, Tokens]], normalisation: str) -> MicroBatch:
    ids, positions, labels, examples, weights = [], [], [], [], []
    for example, tokens in sequences:
        length = len(tokens.ids)
        ids += tokens.ids
        positions += range(length)
        labels += tokens.labels
        examples += [example] * length
        weights += [1.0 if normalisation == "token" else 1.0 / (length - tokens.prompt)] * length
    return MicroBatch(
        torch.tensor([ids]),
        torch.tensor([positions]),
        torch.tensor(labels),
        torch.tensor(examples),
        torch.tensor(weights, dtype=torch.float32),
    )
