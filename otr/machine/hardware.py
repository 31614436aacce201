"""What a device can do, as its maker states it, and the share of it that a plan counts on.

    Hardware.named("h100").flops      # 4.945e14: half of the dense bfloat16 peak

Sources: NVIDIA's data sheets of the SXM versions (H100, H200, A100 80 GB) and of the L40S, dense bfloat16, without
sparsity. `cpu` is one core of a recent server with bfloat16 products (AVX512-BF16), as measured with this project:
Qwen2.5-Coder-0.5B is sampled at 0.165 TFLOP/s, some 85 % of what large products alone reach, and trained at 0.12.
"""

from dataclasses import dataclass, replace
from typing import Self

from otr.errors import UserError

MFU = 0.36
"""Floating-point operations of training done a second over the peak, recomputed ones included. torchtitan publishes
33 % for Llama 3 8B on H100, uncompiled and with selective checkpointing (5,762 tokens/s a GPU), and 39 % compiled.
Neither counts what is recomputed, which selective checkpointing keeps to about a tenth. Here what a run recomputes is
counted apart: with full checkpointing 0.36 of these operations are 0.27 of the model's own. A lone H100 reached 0.476
in Qwen3-4B's OTR steps, all layers recomputed (tests/benchmarks/gpu.md); until several are measured, plans count on
less."""
CPU_MFU = 0.75
"""Of a core's speed that training reaches: measured over two steps of Qwen2.5-Coder-0.5B, AdamW included."""
PREFILL_MFU = 0.5
"""The same of reading prompts: a forward pass over long batches, without communication. Assumed."""
BANDWIDTH_SHARE = 0.7
"""Share of the memory's bandwidth that decoding's kernels reach at hundreds of completions; what lies between kernels
is counted apart (STEP_OVERHEAD), with which 8B on an H100 comes to 0.60. Assumed; a share of 0.6 makes sampling 14 %
dearer. NVIDIA publishes 14,325 tokens/s for Llama 3.1 8B in FP8 on an H100, 128 tokens in and 4,096 out (TensorRT-LLM
1.0, docs/source/performance/perf-overview.md). With a full memory that is a step of 479 completions in 33 ms, which
reads 77 GB: 0.69 of 3,350 GB/s, all between kernels included; half full it is more. vLLM may be slower."""
FLOAT32_SHARE = 0.45
"""Of a core's bfloat16 speed that float32 products reach: 70-92 of 170-204 GFLOP/s, measured. A processor without
bfloat16 products computes in float32, and is planned so."""
DISK_BYTES_A_SECOND = 1e9
"""What a file system takes in. Assumed; a shared one may take less."""


@dataclass(frozen=True)
class Hardware:
    name: str
    tflops: float
    """Peak of dense bfloat16 products, 10^12 operations a second."""
    memory_gb: float | None
    """Of one device, 10^9 bytes, as programs find it; None where main memory serves, whose size is not known here."""
    bandwidth_gb: float
    """Memory bandwidth, 10^9 bytes a second."""
    mfu: float = MFU
    is_gpu: bool = True

    @property
    def flops(self) -> float:
        """Operations a second to count on, in bfloat16."""
        return self.tflops * 1e12 * self.mfu

    @property
    def prefill_flops(self) -> float:
        """The same for prompts."""
        return self.tflops * 1e12 * (PREFILL_MFU if self.is_gpu else 1.0)

    def share(self, dtype: str) -> float:
        """Of these speeds that computation in `dtype` reaches. On a GPU all is planned in bfloat16."""
        return FLOAT32_SHARE if dtype == "float32" and not self.is_gpu else 1.0

    @property
    def bytes_a_second(self) -> float:
        return self.bandwidth_gb * 1e9 * BANDWIDTH_SHARE

    @property
    def unit(self) -> str:
        return "GPU" if self.is_gpu else "core"

    @classmethod
    def named(cls, name: str, **changes: float | None) -> Self:
        """A known device with what is given (not None) put in its place."""
        if name not in KNOWN:
            raise UserError(f"--gpu: '{name}' is unknown; allowed: {', '.join(KNOWN)}")
        tflops, memory, bandwidth, is_gpu = KNOWN[name]
        device = cls(name, tflops, memory, bandwidth, is_gpu=is_gpu, **({} if is_gpu else {"mfu": CPU_MFU}))
        return replace(device, **{key: value for key, value in changes.items() if value is not None})  # type: ignore[arg-type]


KNOWN: dict[str, tuple[float, float | None, float, bool]] = {
    "h100": (989, 84, 3350, True),
    "h200": (989, 149, 4800, True),
    "a100": (312, 84, 2039, True),
    "l40s": (362, 47, 864, True),
    "cpu": (0.165, None, 10, False),
}
"""tflops, memory_gb, bandwidth_gb, is a GPU."""
