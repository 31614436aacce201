"""What would break: a Trainer user's run that is normalised otherwise, or whose eval_loss is the sampled loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from otr.integrations.transformers import compute_loss_func
from otr.loss import Objective

if TYPE_CHECKING:
    from transformers import Trainer


def trainer(folder: Path, loss: Any = None, **settings: Any) -> "Trainer":
    from transformers import Trainer, TrainingArguments  # seconds, which collecting tests need not wait for

    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16,
    ))  # fmt: skip
    rows = []
    for index in range(16):
        ids = [(2 + index + 3 * place) % 64 for place in range(12)]
        untrained = 2 + index % 7  # micro-batches of unequal token counts
        rows.append({"input_ids": ids, "labels": [-100] * untrained + ids[untrained:]})
    options = {"max_steps": 4, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "logging_steps": 1}
    quiet = {"report_to": [], "save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "seed": 3}
    args = TrainingArguments(str(folder), **(options | quiet | settings))
    return Trainer(model, args, train_dataset=rows, eval_dataset=rows[:5], compute_loss_func=loss)


def weights(trained: "Trainer") -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])


def test_sft_trains_as_trainer_itself(tmp_path: Path) -> None:
    """Shift, normalisation over the accumulated batch and masking are Trainer's own."""
    ours, theirs = trainer(tmp_path, compute_loss_func("sft")), trainer(tmp_path)
    before = weights(ours)
    for found in (ours, theirs):
        found.train()
    assert float((weights(ours) - weights(theirs)).abs().max()) < 2e-6
    assert float((weights(ours) - before).abs().max()) > 1e-4


def test_otr_trains_something_else_and_evaluation_stays_cross_entropy(tmp_path: Path) -> None:
    otr, sft = trainer(tmp_path, compute_loss_func(Objective(beta=-0.5))), trainer(tmp_path)
    assert otr.evaluate()["eval_loss"] == pytest.approx(sft.evaluate()["eval_loss"], rel=1e-3)
    for found in (otr, sft):
        found.train()
    assert float((weights(otr) - weights(sft)).abs().max()) > 1e-4
    assert otr.state.log_history[0]["loss"] < 0  # mostly misses, each worth -0.5, on a model that knows nothing


def test_what_trainer_cannot_hand_in_is_refused() -> None:
    with pytest.raises(ValueError, match="needs old_log_p, which Trainer cannot hand in"):
        compute_loss_func("proximal-sft")
