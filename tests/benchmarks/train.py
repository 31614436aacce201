"""Step time, tokens a second, utilisation and memory of training, OTR beside SFT.

    python tests/benchmarks/train.py                                  # the default experiment's model, one CPU thread
    python tests/benchmarks/train.py --shape qwen2.5-3b               # random weights of the true shape, one GPU
    python tests/benchmarks/train.py --shape qwen2.5-3b --op-by-op    # what torch.compile saves
    torchrun --standalone --nproc-per-node 2 tests/benchmarks/train.py --shape qwen2.5-7b

Steps of the two objectives alternate, so that a busy machine slows both; the median is shown, and the median of the
ratios of neighbours. Utilisation is model FLOPs (recomputation not counted) over an H100's 989 TFLOP/s in bfloat16.
"""

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen3Config

from otr.config import Training
from otr.data.chat import Tokens
from otr.loss import Objective
from otr.train.footprint import choose_layout, expected_memory, training_flops
from otr.train.loop import Example, Trainer
from otr.train.parallel import Ranks, started

PEAK = 989e12
SHAPES: dict[str, Any] = {
    "micro": Qwen3Config(
        vocab_size=512, hidden_size=96, num_hidden_layers=3, num_attention_heads=3, num_key_value_heads=1, head_dim=32,
        intermediate_size=288, max_position_embeddings=512, tie_word_embeddings=True,
    ),
    "qwen2.5-3b": Qwen2Config(
        vocab_size=151_936, hidden_size=2048, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2,
        intermediate_size=11_008, tie_word_embeddings=True,
    ),
    "qwen3-4b": Qwen3Config(
        vocab_size=151_936, hidden_size=2560, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8,
        head_dim=128, intermediate_size=9728, tie_word_embeddings=True,
    ),
    "qwen2.5-7b": Qwen2Config(
        vocab_size=152_064, hidden_size=3584, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4,
        intermediate_size=18_944, tie_word_embeddings=False,
    ),
    "qwen3-8b": Qwen3Config(
        vocab_size=151_936, hidden_size=4096, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8,
        head_dim=128, intermediate_size=12_288, tie_word_embeddings=False,
    ),
}  # fmt: skip


def workload(shape: str, compiled: bool = True) -> tuple[Training, list[Example]]:
    """The recipe, and one step's sequences: 16 of 40 to 110 tokens, or 64 of 512 to 8,192 as the paper's data has."""
    micro = shape == "micro"
    recipe = Training(
        dataset="x",
        batch_size=16 if micro else 64,
        precision="float32" if micro else "bfloat16",
        tokens_per_microbatch=2048 if micro else 10_240,
        activation_checkpointing=False if micro else "auto",
        compile=compiled,
    )
    shortest, longest = (40, 110) if micro else (512, 8192)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(shortest, longest, recipe.batch_size).long().tolist()
    ids = [torch.randint(SHAPES[shape].vocab_size, (length,), generator=generator).tolist() for length in lengths]
    return recipe, [Example(number, Tokens(row, prompt=len(row) // 4)) for number, row in enumerate(ids)]


def timed_step(trainer: Trainer, objective: str, number: int, sequences: list[Example]) -> float:
    """Seconds; on a CPU those of this process, which other load disturbs little."""
    clock = time.perf_counter if trainer.ranks.device.type == "cuda" else time.process_time
    trainer.policy.head.objective = Objective(objective)
    synchronize(trainer.ranks.device)
    begin = clock()
    trainer.step(number, 1000, sequences)
    synchronize(trainer.ranks.device)
    return clock() - begin


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def report(ranks: Ranks, trainer: Trainer, sequences: list[Example], times: dict[str, list[float]]) -> None:
    lengths = [len(example.tokens.ids) for example in sequences]
    flops = training_flops(trainer.model, lengths) / ranks.count
    for objective, found in times.items():
        seconds = statistics.median(found)
        print(
            f"{objective}: {1000 * seconds:.1f} ms a step, {sum(lengths) / seconds:.0f} tokens/s, "
            f"{flops / seconds / 1e12:.3g} TFLOP/s a rank ({flops / seconds / PEAK:.1%} of an H100)"
        )
    ratio = statistics.median(otr / sft for sft, otr in zip(*times.values(), strict=True))
    print(f"otr / sft: {ratio:.3f}")
    print(f"layout: {trainer.layout}")
    expected = expected_memory(trainer.model, trainer.recipe, ranks.count, trainer.layout)
    print(f"memory: at most {ranks.peak_memory() / 1e9:.2f} GB; expected {expected}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="micro")
    parser.add_argument("--steps", type=int, default=20, help="timed steps of each objective (default: 20)")
    parser.add_argument("--warm-up", type=int, default=2, help="steps of each that are not timed (default: 2)")
    parser.add_argument("--op-by-op", action="store_true", help="do not compile the layers (GPU)")
    parser.add_argument("--sharded", action="store_true", help="a lone GPU as a group of one, without bfloat16 copies")
    options = parser.parse_args()
    torch.set_num_threads(1)
    recipe, sequences = workload(options.shape, compiled=not options.op_by_op)
    with started() as ranks:
        torch.manual_seed(0)
        with ranks.device:
            model = AutoModelForCausalLM.from_config(SHAPES[options.shape], dtype=torch.float32)
        layout = choose_layout(model, recipe, ranks.count, ranks.device.type == "cuda", ranks.memory)
        if options.sharded:
            layout = replace(layout, copies=False, sharded=True)
        trainer = Trainer(model, Objective("otr"), recipe, seed=0, ranks=ranks, layout=layout)
        times: dict[str, list[float]] = {"sft": [], "otr": []}
        for number in range(options.steps + options.warm_up):
            for objective, found in times.items():
                seconds = timed_step(trainer, objective, number, sequences)
                if number >= options.warm_up:
                    found.append(seconds)
        if ranks.first:
            report(ranks, trainer, sequences, times)


if __name__ == "__main__":
    main()
