"""What a micro-batch of the paper's models costs a GPU beside its matrix products, counted without one.

    python tests/benchmarks/body.py                       # qwen2.5-3b, 10,240 tokens; half a minute on an idle core
    python tests/benchmarks/body.py --shape qwen3-8b --ranks 2

Op by op, each operation of a layer's forward and backward pass, on tensors without memory, is asked what it reads and
writes; views and matrix products are left out. Compiled, the scheduler of torch.compile is asked the same of the
kernels that it fuses: on a CPU, whose fusions are about a GPU's, for 128 tokens, which are scaled up. Times follow from
an H100's bandwidth as programs reach it (3.0 TB/s) and its matrix products (798 TFLOP/s). Attention and the collectives
of several ranks are not part of the count. Nothing here is a measurement.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from train import SHAPES  # type: ignore[import-not-found]
from transformers import AttentionInterface, AutoModelForCausalLM

from otr.config import Training
from otr.loss.head import LOGITS_BUDGET, chunk_rows
from otr.train.footprint import choose_layout

BANDWIDTH = 3.0e12  # bytes a second
PRODUCTS = 798e12  # floating-point operations a second
PEAK = 989e12
TOKENS = 10_240
CARD = 84e9
FEW = 128


class _Attention(torch.autograd.Function):
    """Stands for attention, and is none of the operations that are counted."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(query, key, value)
        return torch.empty_like(query).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors)


def attention(module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    return _Attention.apply(query.to(value.dtype), key.to(value.dtype), value), None  # type: ignore[no-untyped-call]


class Bytes(TorchDispatchMode):
    """Bytes read and written by the operations inside, but for views, allocations and matrix products."""

    LEFT_OUT = ("mm", "addmm", "bmm", "empty", "empty_like", "detach", "new_empty", "empty_strided", "t")

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        result = function(*arguments, **(named or {}))
        name = function.name().split("::")[1].split(".")[0]
        viewed = any(
            argument.alias_info and not argument.alias_info.is_write for argument in function._schema.arguments
        )
        if not viewed and name not in self.LEFT_OUT:
            tensors = {id(leaf): leaf for leaf in tree_leaves((arguments, named)) if isinstance(leaf, Tensor)}
            self.total += sum(_size(tensor) for tensor in tensors.values())
            self.total += sum(_size(leaf) for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result


def _size(tensor: Tensor) -> int:
    """Bytes behind a tensor: an expanded dimension is stored once."""
    count = 1
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= length if stride else 1
    return count * tensor.element_size()


def layer_pass(shape: str, device: str, tokens: int) -> tuple[Any, Tensor, tuple[Tensor, ...]]:
    """A layer in bfloat16, its input and the rotary embedding."""
    AttentionInterface.register("counted", torch.compiler.disable(attention))  # type: ignore[no-untyped-call]
    config = SHAPES[shape]
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).train()
    model.set_attn_implementation("counted")
    layer = model.model.layers[0].to_empty(device=device)
    with torch.device(device):
        hidden = torch.zeros(1, tokens, config.hidden_size, dtype=torch.bfloat16, requires_grad=True)
        rotary = type(model.model.rotary_emb)(config)(hidden, torch.arange(tokens)[None])
    return layer, hidden, rotary


def op_by_op(shape: str) -> tuple[float, float]:
    """Bytes of one layer's forward pass and of its backward pass."""
    layer, hidden, rotary = layer_pass(shape, "meta", TOKENS)
    with Bytes() as forward:
        output = layer(hidden, position_embeddings=rotary)
    with Bytes() as backward:
        output.backward(torch.empty_like(output))
    return forward.total, backward.total


def fused(shape: str) -> tuple[float, float]:
    """The same of the compiled layer."""
    layer, hidden, rotary = layer_pass(shape, "cpu", FEW)
    with _scheduled() as sizes:
        output = torch.compile(layer.forward)(hidden, position_embeddings=rotary)
        forward = sum(sizes)
        output.backward(torch.zeros_like(output))
    scale = TOKENS / FEW
    return forward * scale, (sum(sizes) - forward) * scale


@contextmanager
def _scheduled() -> Iterator[list[int]]:
    """Bytes of each kernel that torch.compile schedules; matrix products are not its own kernels."""
    from torch._inductor import config
    from torch._inductor.scheduler import ExternKernelSchedulerNode, NopKernelSchedulerNode, Scheduler

    found: list[int] = []
    original = Scheduler.codegen

    def codegen(self: Any) -> Any:
        for node in self.nodes:
            if not isinstance(node, ExternKernelSchedulerNode | NopKernelSchedulerNode):
                found.append(int(node.get_read_write_buffers_sizes()))
        return original(self)

    Scheduler.codegen = codegen  # type: ignore[method-assign]
    try:
        with config.patch(fx_graph_cache=False, force_disable_caches=True):
            yield found
    finally:
        Scheduler.codegen = original  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-3b")
    parser.add_argument("--ranks", type=int, default=1)
    options = parser.parse_args()
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(SHAPES[options.shape])
    config = model.config
    layers, hidden = config.num_hidden_layers, config.hidden_size
    head = config.vocab_size * hidden
    parameters = sum(parameter.numel() for parameter in model.parameters())
    body = parameters - head * (1 if config.tie_word_embeddings else 2)
    recipe = Training(dataset="x", precision="bfloat16")
    layout = choose_layout(model, recipe, options.ranks, gpu=True, capacity=CARD)
    again = layout.recomputed / layers
    product = 2 * body * TOKENS / PRODUCTS * 1e3  # of one pass over the layers, ms

    def small(counts: tuple[float, float], recomputed: float) -> float:
        forward, backward = counts
        return layers * (forward * (1 + recomputed) + backward) / BANDWIDTH * 1e3

    eager, compiled = op_by_op(options.shape), fused(options.shape)
    print(f"{options.shape}, {TOKENS} tokens, {options.ranks} ranks: {layout}")
    print(f"a layer op by op: {eager[0] / 1e9:.2f} + {eager[1] / 1e9:.2f} GB forward and backward")
    print(f"a layer compiled: {compiled[0] / 1e9:.2f} + {compiled[1] / 1e9:.2f} GB")
    chunk = chunk_rows(TOKENS, 2 * config.vocab_size, LOGITS_BUDGET)
    chunks = -(-TOKENS // chunk)
    logits = TOKENS * config.vocab_size
    floor = 3 * 2 * head * TOKENS / PRODUCTS * 1e3
    reads = 3 * 2 * logits / BANDWIDTH * 1e3
    before = [floor, reads + 1e3 * 50 * head / BANDWIDTH]
    after = [floor, reads + 1e3 * (4 + 8 * (chunks - 1)) * head / BANDWIDTH]
    weights = {"sharded over one rank": 35.0, "bfloat16 copies": 10 * parameters / BANDWIDTH * 1e3}
    lines: list[tuple[str, float, float]] = [
        ("products of the layers", 3 * product, 3 * product),
        ("their recomputation", product, product * again),
        ("small operations of the layers", small(eager, 1.0), small(compiled, again)),
        ("head: three products", before[0], after[0]),
        ("head: rows and the weight's gradient", before[1], after[1]),
    ]
    if options.ranks == 1:
        lines.append(
            ("weights and gradients between types", weights["sharded over one rank"], weights["bfloat16 copies"])
        )
    print("\n| ms a micro-batch | before | after |\n|---|---:|---:|")
    for name, old, new in lines:
        print(f"| {name} | {old:.0f} | {new:.0f} |")
    print(f"| sum without attention | {sum(r[1] for r in lines):.0f} | {sum(r[2] for r in lines):.0f} |")


if __name__ == "__main__":
    main()
