"""Everything that tests/benchmarks/gpu.md counts, measured on one card within ten minutes.

    pip install liger-kernel quack-kernels        # optional: their rows beside ours
    python tests/benchmarks/gpu.py

Runs the other benchmarks one after the other and stops at the limit; each prints its own table. Two head shapes
(3 and 8 billion parameters), training steps of the 3 billion model, and the counts of the compiled kernels beside them.
"""

import subprocess
import sys
import time
from pathlib import Path

import torch

LIMIT = 600  # seconds
RUNS = [
    ["kernel.py"],
    ["head.py", "--shape", "10240x2048x151936", "--chunk", "3456", "--rounds", "10"],
    ["train.py", "--shape", "qwen2.5-3b", "--steps", "2", "--warm-up", "1"],
    ["head.py", "--shape", "10240x4096x151936", "--chunk", "3456", "--rounds", "5"],
]


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("no CUDA GPU here; kernel.py and body.py count without one")
    end = time.monotonic() + LIMIT
    for name, *arguments in RUNS:
        print(f"\n# {name} {' '.join(arguments)}", flush=True)
        command = [sys.executable, str(Path(__file__).with_name(name)), *arguments]
        try:
            subprocess.run(command, timeout=max(1, end - time.monotonic()), check=False)
        except subprocess.TimeoutExpired:
            print(f"{name}: stopped after {LIMIT} seconds in all")


if __name__ == "__main__":
    main()
