"""TRL: OTRTrainer takes whatever SFTTrainer takes, and an objective.   pip install "otr[trl]" """

import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import SFTConfig

from otr import Objective
from otr.integrations.trl import OTRTrainer


def main(steps: int = 40) -> list[dict[str, float]]:
    torch.manual_seed(0)
    # An untrained model of letters, so that nothing is downloaded. OTR fine-tunes: replace all three by yours.
    letters = {letter: index for index, letter in enumerate(["<eos>", *"abcdefghijklmnopqrstuvwxyz0123456789+= "])}
    words = Tokenizer(WordLevel(letters, unk_token="<eos>"))
    words.pre_tokenizer = Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>", pad_token="<eos>")
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(letters), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, eos_token_id=0, pad_token_id=0,
    ))  # fmt: skip
    rows = [{"prompt": f"{a}+{b}=", "completion": str(a + b)} for a in range(8) for b in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        args = SFTConfig(folder, max_steps=steps, per_device_train_batch_size=16, learning_rate=1e-2, logging_steps=10,
                         report_to=[], save_strategy="no", disable_tqdm=True, bf16=False)  # fmt: skip
        trainer = OTRTrainer(model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
                             objective=Objective("otr", samples=64))  # fmt: skip
        trainer.train()
    return [entry for entry in trainer.state.log_history if "nll" in entry]


if __name__ == "__main__":
    main()
