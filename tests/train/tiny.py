"""A tiny random model, recipe and examples, and the gradients of a trainer on them."""

from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from otr.config import Training
from otr.data.chat import Tokens
from otr.loss import Objective
from otr.train.footprint import Layout
from otr.train.loop import Example, Trainer
from otr.train.parallel import Ranks

VOCABULARY = 97
ALONE = Ranks(0, 1, torch.device("cpu"))


def model(tied: bool = True, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, intermediate_size=48, max_position_embeddings=128, tie_word_embeddings=tied, initializer_range=0.2,
        bos_token_id=None, eos_token_id=2, pad_token_id=0, dtype="float32",
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def recipe(**changes: Any) -> Training:
    settings = {
        "dataset": "tiny", "batch_size": 8, "max_length": 64, "learning_rate": 1e-3, "minimum_learning_rate": 1e-4,
        "precision": "float32", "tokens_per_microbatch": 64, "activation_checkpointing": False,
    }  # fmt: skip
    return Training.model_validate(settings | changes)


def sequences(count: int = 8, seed: int = 0) -> list[Example]:
    """Random sequences of 4 to 40 tokens, their prompts a third of them; ids are not their places."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        length = int(torch.randint(4, 41, (), generator=generator))
        ids = torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()
        found.append(Example(100 + 7 * number, Tokens(ids, prompt=max(1, length // 3))))
    return found


def trainer(
    objective: str = "otr",
    tied: bool = True,
    ranks: Ranks = ALONE,
    logits_budget: float | None = None,
    layout: Layout | None = None,
    **changes: Any,
) -> Trainer:
    made = Trainer(model(tied), Objective(objective), recipe(**changes), seed=5, ranks=ranks, layout=layout)
    if logits_budget is not None:
        made.policy.head.logits_budget = logits_budget
    return made


def gradients(made: Trainer) -> Tensor:
    """All gradients end to end, gathered."""
    found = [parameter.grad for parameter in made.policy.parameters()]
    return torch.cat([(g.full_tensor() if isinstance(g, DTensor) else g).flatten() for g in found if g is not None])


def weights(made: Trainer) -> Tensor:
    found = [parameter.detach() for parameter in made.policy.parameters()]
    return torch.cat([(w.full_tensor() if isinstance(w, DTensor) else w).flatten() for w in found]).clone()


def distance(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    found, expected = found.detach().double(), expected.detach().double()
    return float((found - expected).norm() / expected.norm())
