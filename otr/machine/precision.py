"""The number type that this machine computes fastest without loss of meaning.

    computed_in("auto", "cpu")       # "bfloat16" on a processor with AVX512-BF16 or AMX, "float32" on any other

A processor without bfloat16 instructions emulates them. Measured, GFLOP/s a core, product of 512 x 896 by 896 x 4,864:

    AVX2 alone         bfloat16 7-9     float32 37-48
    AVX512-BF16        bfloat16 204     float32 92
"""

import platform
from pathlib import Path
from typing import Literal

_FLAGS = {"x86_64": ("flags", {"avx512_bf16", "amx_bf16"}), "aarch64": ("Features", {"bf16"})}


def computed_in(wanted: str, device: str) -> Literal["bfloat16", "float32"]:
    """`wanted`, or for "auto" what suits the device: "cuda", or "cpu" for this machine's processor."""
    if wanted == "auto":
        return "bfloat16" if (_native_on_gpu() if device == "cuda" else native_on_cpu()) else "float32"
    return "bfloat16" if wanted == "bfloat16" else "float32"


def native_on_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has instructions for bfloat16 products. Where that cannot be read (macOS), no."""
    key, native = _FLAGS.get(platform.machine(), ("flags", set()))
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    return any(native & set(line.partition(":")[2].split()) for line in lines if line.startswith(key))


def _native_on_gpu() -> bool:
    import torch

    return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)
