"""What would break: draws that repeat, lean or depend on anything but a token's identity."""

import torch

from otr.loss.draws import token_keys, uniforms


def plain_draw(seed: int, step: int, example: int, position: int, draw: int) -> int:
    """The 32 bits of one draw in Python's own integers: SplitMix64 over the identity, then the 32-bit permutation."""

    def mix(state: int) -> int:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
        return state ^ (state >> 31)

    key = mix(mix(mix(mix(seed) ^ step) ^ example) ^ position)
    bits = (key + draw * 0x9E3779B9) % 2**32
    bits = ((bits ^ (bits >> 16)) * 0x21F0AAAD + (key >> 32)) % 2**32
    bits = (bits ^ (bits >> 15)) * 0x735A2D97 % 2**32
    return bits ^ (bits >> 15) ^ 2**31  # the tensor code reads it as a signed number and adds 2^31


def test_known_draws_never_change() -> None:
    """Another mixer, or one slip of a signed shift, would silently change every published run."""
    identities = [(7, 101), (7, 102), (8, 101), (2**40, 0)]
    examples, positions = torch.tensor(identities).T
    draws = uniforms(token_keys(0, 12, examples, positions), 50)
    expected = [[plain_draw(0, 12, *identity, draw) for draw in range(50)] for identity in identities]
    assert (draws * 2**32 - 0.5).long().tolist() == expected
    assert expected[0][:3] == [2761988931, 1270623057, 1169334893]


def test_every_part_of_the_identity_matters() -> None:
    base = {"seed": 3, "step": 5, "examples": torch.tensor([11]), "positions": torch.tensor([13])}
    keys = [token_keys(**base)]  # type: ignore[arg-type]
    for name, value in base.items():
        keys.append(token_keys(**{**base, name: value + 1}))  # type: ignore[arg-type, operator]
    assert len({int(key) for key in keys}) == 5


def test_no_two_tokens_of_a_large_step_share_a_key() -> None:
    examples = torch.arange(64).repeat_interleave(8192)
    positions = torch.arange(8192).repeat(64)
    keys = torch.cat([token_keys(0, step, examples, positions) for step in range(2)])
    assert len(keys.unique()) == len(keys)


def test_draws_are_uniform_along_rows_columns_and_neighbours() -> None:
    """Four million draws: each mean, correlation and 4,096-cell chi-squared within five standard deviations."""
    keys = token_keys(1, 2, torch.arange(4096) // 512, torch.arange(4096) % 512)
    draws = uniforms(keys, 1024)
    assert draws.min() > 0 and draws.max() < 1
    centred = (draws - 0.5) * 12**0.5
    for means in (centred.mean(0) * 4096**0.5, centred.mean(1) * 1024**0.5):
        assert means.abs().max() < 5 and abs(float(means.std()) - 1) < 0.1
    pairs = {"next draw": (centred[:, :-1], centred[:, 1:]), "next token": (centred[:-1], centred[1:])}
    for name, (left, right) in pairs.items():
        assert abs(float((left * right).mean())) * left.numel() ** 0.5 < 5, name
    for cells in (draws, draws * 4096 % 1):  # the high and the next 12 bits
        counts = (cells * 4096).long().view(-1).bincount(minlength=4096).double()
        statistic = float(((counts - 1024) ** 2 / 1024).sum())
        assert abs(statistic - 4095) < 5 * (2 * 4095) ** 0.5


def test_adjacent_pairs_fill_the_square_evenly() -> None:
    draws = uniforms(token_keys(1, 3, torch.zeros(4096, dtype=torch.long), torch.arange(4096)), 256)
    cells = (draws * 32).long()
    for left, right in ((cells[:, :-1], cells[:, 1:]), (cells[:-1], cells[1:])):
        counts = (left * 32 + right).reshape(-1).bincount(minlength=1024).double()
        expected = left.numel() / 1024
        assert abs(float(((counts - expected) ** 2 / expected).sum()) - 1023) < 5 * (2 * 1023) ** 0.5


def test_more_draws_extend_fewer() -> None:
    keys = token_keys(0, 0, torch.arange(5), torch.arange(5))
    assert torch.equal(uniforms(keys, 256)[:, :10], uniforms(keys, 10))
