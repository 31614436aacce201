"""Micro-batches hold whole sequences, all of them, once, within the budget, alike on all ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from otr.data.chat import Tokens
from otr.train.pack import IGNORED, MicroBatch, balanced, pack

lengths = st.lists(st.integers(2, 60), min_size=1, max_size=24)
budgets = st.integers(1, 90)
rank_counts = st.integers(1, 5)


def sequences(sizes: list[int]) -> list[tuple[int, Tokens]]:
    """Distinct tokens everywhere: id = 1000 * example + position."""
    return [
        (number, Tokens([1000 * number + position for position in range(size)], prompt=1 + size // 3))
        for number, size in enumerate(sizes)
    ]


def packed(sizes: list[int], budget: int, ranks: int, normalisation: str = "token") -> list[list[MicroBatch]]:
    return [pack(sequences(sizes), budget, normalisation, rank, ranks) for rank in range(ranks)]


@given(lengths, budgets, rank_counts)
def test_each_sequence_is_in_one_group_within_the_budget(sizes: list[int], budget: int, ranks: int) -> None:
    groups = balanced(sizes, budget, ranks)
    assert sorted(index for group in groups for index in group) == list(range(len(sizes)))
    assert len(groups) % ranks == 0
    assert all(sum(sizes[index] for index in group) <= budget or len(group) == 1 for group in groups)


@given(lengths, budgets, rank_counts)
def test_groups_are_near_equal(sizes: list[int], budget: int, ranks: int) -> None:
    totals = [sum(sizes[index] for index in group) for group in balanced(sizes, budget, ranks)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] - totals[-1] <= max(sizes)


def test_the_docstrings_example() -> None:
    assert balanced([70, 20, 60, 30, 40], budget=100) == [[1, 2], [0], [3, 4]]


@given(lengths, budgets, rank_counts)
def test_ranks_train_every_token_once_without_padding(sizes: list[int], budget: int, ranks: int) -> None:
    batches = [batch for rank in packed(sizes, budget, ranks) for batch in rank]
    trained = [int(label) for batch in batches for label in batch.labels if label != IGNORED]
    wanted = [label for _, tokens in sequences(sizes) for label in tokens.labels if label != IGNORED]
    assert sorted(trained) == sorted(wanted)
    busy = [batch for batch in batches if (batch.labels != IGNORED).any()]
    assert sum(batch.input_ids.numel() for batch in busy) == sum(sizes)


@given(lengths, budgets, rank_counts)
def test_ranks_run_equally_many_micro_batches(sizes: list[int], budget: int, ranks: int) -> None:
    assert len({len(rank) for rank in packed(sizes, budget, ranks)}) == 1


@given(lengths, budgets, st.sampled_from(["token", "sequence"]), rank_counts)
def test_weights_of_all_trained_tokens_add_up_to_one(
    sizes: list[int], budget: int, normalisation: str, ranks: int
) -> None:
    batches = [batch for rank in packed(sizes, budget, ranks, normalisation) for batch in rank]
    total = sum(float(batch.weights[batch.trained].double().sum()) for batch in batches)
    assert total == pytest.approx(1, rel=1e-6)
    for batch in batches:
        assert torch.equal(batch.trained, (batch.labels != IGNORED).nonzero()[:, 0])
        assert normalisation == "sequence" or len(set(batch.weights.tolist())) == 1


def test_one_micro_batch_by_hand() -> None:
    first, second = (4, Tokens([11, 12, 13], prompt=1)), (9, Tokens([21, 22, 23, 24], prompt=3))
    (batch,) = pack([first, second], budget=7, normalisation="sequence")
    assert batch.input_ids.tolist() == [[11, 12, 13, 21, 22, 23, 24]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1, 2, 3]]
    assert batch.labels.tolist() == [12, 13, -100, -100, -100, 24, -100]
    assert batch.examples.tolist() == [4, 4, 4, 9, 9, 9, 9]
    assert batch.weights.tolist() == [0.25, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5]  # two sequences of weight 1/2
    assert batch.trained.tolist() == [0, 1, 5]
    assert batch.boundaries.tolist() == [0, 3, 7]
    assert batch.lengths == (3, 4)
    moved = batch.to(torch.device("cpu"))
    assert moved.lengths == batch.lengths
    assert torch.equal(moved.labels, batch.labels)
