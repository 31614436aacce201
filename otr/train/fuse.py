"""Each layer's norms, rotary embedding, gated activation and residual sums as few kernels, made by torch.compile.

    fuse(model)          # a Hugging Face model with packed attention; its modules, names and hooks stay as they are

Op by op, these small operations read and write 13.8 GB a layer and micro-batch at 3 billion parameters, which takes a
GPU more than half as long as the matrix products; counts in tests/benchmarks/gpu.md. All layers share their code; the
number of tokens is a variable of it, so that micro-batches of any size run what the first one compiled. Attention, a
kernel of its own already, is called from the compiled code as it is.
"""

import torch
from transformers import AttentionInterface, PreTrainedModel

from otr.models.attention import PACKED, packed_attention


def fuse(model: PreTrainedModel) -> None:
    """Compile every layer and the last norm of `model` (transformers, decoder alone) when they first run."""
    # How the tokens are split into sequences differs in every micro-batch: the compiler must not look at it.
    AttentionInterface.register(PACKED, torch.compiler.disable(packed_attention))  # type: ignore[no-untyped-call]
    for module in (*model.model.layers, model.model.norm):
        # The forward function, not the module: sharding and checkpointing work around it, uncompiled.
        module.forward = torch.compile(module.forward, dynamic=True)
