"""transformers.Trainer: one argument more; eval_loss stays cross-entropy.   pip install otr transformers accelerate"""

import tempfile

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM, Trainer, TrainingArguments

from otr import Objective
from otr.integrations.transformers import compute_loss_func

TEXT = "One token is drawn from the policy, and its reward is one where it is the right one. "


def main(steps: int = 40) -> list[dict[str, float]]:
    torch.manual_seed(0)
    # A tiny model of bytes, so that nothing is downloaded; replace both by your checkpoint and data.
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128,
    ))  # fmt: skip
    ids = [list((TEXT[shift:] + TEXT[:shift]).encode()) for shift in range(0, 64, 4)]
    rows = [{"input_ids": row, "labels": [-100] * 8 + row[8:]} for row in ids]
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-2, logging_steps=10,
            eval_strategy="steps", eval_steps=20, report_to=[], save_strategy="no", disable_tqdm=True,
        )  # fmt: skip
        loss = compute_loss_func(Objective("otr", samples=64))
        trainer = Trainer(model, args, train_dataset=rows, eval_dataset=rows[:4], compute_loss_func=loss)
        trainer.train()
    return [entry for entry in trainer.state.log_history if "eval_loss" in entry]


if __name__ == "__main__":
    main()
