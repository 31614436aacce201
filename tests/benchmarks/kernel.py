"""The loss kernels counted in the machine code of an H100, without one: instructions a logit, registers, barriers.

    python tests/benchmarks/kernel.py            # one line a kernel; the table of tests/benchmarks/gpu.md
    python tests/benchmarks/kernel.py --code 'OTR read'            # and the instructions of its loops

Each kernel is compiled by Triton for sm_90 as a launch on bfloat16 logits with V = 151,936 specialises it: pointers
aligned to 16 bytes; strides, V and K divisible by 16. Triton brings the assembler (ptxas) and disassembler (nvdisasm).
The loop over a row is the one between whose first instruction and backward branch the logits are loaded, 16 a thread;
its length over 16 is the number of instructions a logit. What stands outside loops runs once a row.
Liger-Kernel's cross-entropy is compiled and counted the same way where it is installed.

On a GPU a second table follows: how long a micro-batch's 10,240 rows take, of a model as sure as a trained one (mean
q 0.8: 51 of 256 draws miss the label), beside a copy of so many bytes as two reads and one write.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as build

from otr.loss import Objective, kernel

VOCABULARY = 151_936
CHUNK, TOKENS = 3456, 10_240
ROUNDS = 20
_TYPES = {
    "logits_ptr": "*bf16", "logits_stride": "i32", "labels_ptr": "*i64", "keys_ptr": "*i64", "edges_ptr": "*fp64",
    "misses_ptr": "*i32", "tokens_ptr": "*i32", "counts_ptr": "*i32", "values_ptr": "*fp64", "slopes_ptr": "*fp64",
    "finite_ptr": "*i1", "vocabulary": "i32", "samples": "i32", "coolness": "fp32", "beta": "fp32",
}  # fmt: skip
_DIVISIBLE = {"logits_stride", "vocabulary", "samples"}


@dataclass(frozen=True)
class Loop:
    code: list[str]

    def count(self, operation: str) -> int:
        return sum(_operation(instruction).startswith(operation) for instruction in self.code)

    def per_logit(self, logits: int) -> float:
        """Instructions a logit, where a thread handles `logits` of them each time round."""
        return len(self.code) / logits


@dataclass(frozen=True)
class Count:
    """What one compiled kernel is made of."""

    code: list[str]
    loops: list[Loop]  # in the order of their ends
    registers: int
    stack: int  # bytes a thread, spills included
    shared: int  # bytes

    @property
    def row(self) -> Loop:
        """The loop over a row: the first that loads logits."""
        return next(loop for loop in self.loops if loop.count("LDG"))

    @property
    def barriers_once(self) -> int:
        """Barriers outside the loops: at most so many a row, those of the second reading of a rare row included."""
        inside = sum(loop.count("BAR.SYNC") for loop in self.loops)
        return sum(_operation(instruction).startswith("BAR.SYNC") for instruction in self.code) - inside


def read(objective: str, diagnostics: bool) -> Count:
    sampled, spread = objective == "otr", objective in ("expected-otr", "beta-only")
    return count(
        kernel._read_kernel,
        {
            "PIECES": sampled, "TEMPERED": diagnostics or objective not in ("sft", "dft"), "SPREAD": spread,
            "DIAGNOSTICS": diagnostics, "COUNT": diagnostics and not sampled, "BLOCK": 4096, "WIDTH": 8, "SUMS": 1024,
        },
    )  # fmt: skip


def draw(diagnostics: bool, piece: int = 256) -> Count:
    """piece: logits of one load of a warp; 128 of float32."""
    return count(
        kernel._draw_kernel,
        {
            "DIAGNOSTICS": diagnostics, "GRADIENT": True, "WEIGHTED": True, "PIECE": piece, "PIECES": 1024,
            "LEVELS": 10, "LOOKED_UP": kernel._LOOKED_UP,
        },
        warps=1,
    )  # fmt: skip


def write(objective: str) -> Count:
    sampled, spread = objective == "otr", objective in ("expected-otr", "beta-only")
    return count(kernel._write_kernel, {"SPREAD": spread, "SAMPLED": sampled, "BLOCK": 4096})


def liger() -> Count:
    """Liger-Kernel's cross-entropy with its own block of 32,768 and 32 warps."""
    from liger_kernel.ops.cross_entropy import liger_cross_entropy_kernel as function

    types = {"X_ptr": "*bf16", "Y_ptr": "*i64", "ignore_index": "i32", "n_cols": "i32", "n_non_ignore": "i32"}
    types |= {"X_stride": "i32", "sum_non_ignore_weight": "fp32", "weight_sum": "fp32"}
    unused = ("weight_ptr", "z_loss_ptr", "token_accuracy_ptr", "predicted_tokens_ptr", "softcap")
    constants: dict[str, Any] = {"reduction": "sum", "lse_square_scale": 0.0, "label_smoothing": 0.0}
    for name in function.arg_names:
        if name in unused:
            constants[name] = None
        elif name.endswith("_stride") and name != "X_stride":
            constants[name] = 1
        elif name.isupper():
            constants[name] = {"BLOCK_SIZE": 32_768, "HAS_GRADIENTS": True}.get(name, False)
    return count(function, constants, 32, types, {"X_stride", "n_cols"})


def count(
    function: Any,
    constants: dict[str, Any],
    warps: int = kernel._WARPS,
    types: dict[str, str] = _TYPES,
    divisible: set[str] = _DIVISIBLE,
) -> Count:
    names = function.arg_names
    signature = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(names)
        if signature[name].startswith("*") or name in divisible
    }
    fixed = {(names.index(name),): value for name, value in constants.items()}
    source = ASTSource(function, signature, fixed, aligned)
    built = build(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(built.asm["cubin"])
        text, usage = _tool("nvdisasm", "-c", binary), _tool("cuobjdump", "-res-usage", binary)
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage)
    assert found is not None, usage
    code, loops = _loops(text)
    return Count(code, loops, *(int(number) for number in found.groups()))


def _tool(name: str, *arguments: Any) -> str:
    program = Path(os.path.dirname(triton.__file__)) / "backends" / "nvidia" / "bin" / name
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


def _loops(text: str) -> tuple[list[str], list[Loop]]:
    """All instructions of nvdisasm's output, and those of each innermost loop."""
    code: list[str] = []
    labels: dict[str, int] = {}
    for line in text.splitlines():
        if label := re.match(r"\s*(\.L_\S+):", line):
            labels[label.group(1)] = len(code)
        elif instruction := re.search(r"/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            code.append(instruction.group(1).strip())
    spans = []
    for end, instruction in enumerate(code):
        target = re.search(r"BRA.*`\((\.L_\S+)\)", instruction)
        # A branch to itself is the end of a program.
        if target and labels.get(target.group(1), end) < end:
            spans.append((labels[target.group(1)], end))
    inner = [(a, b) for a, b in spans if not any(a <= c and d <= b and (a, b) != (c, d) for c, d in spans)]
    return code, [Loop(code[start : end + 1]) for start, end in inner]


def _operation(instruction: str) -> str:
    return re.sub(r"^@!?U?P\d+ +", "", instruction)


def all_counts() -> Iterator[tuple[str, Count]]:
    yield "CE read", read("sft", diagnostics=False)
    yield "CE read, diagnostics", read("sft", diagnostics=True)
    yield "CE write", write("sft")
    yield "OTR read", read("otr", diagnostics=False)
    yield "OTR read, diagnostics", read("otr", diagnostics=True)
    yield "OTR draw, diagnostics", draw(diagnostics=True)
    yield "OTR write", write("otr")
    yield "expected OTR read, diagnostics", read("expected-otr", diagnostics=True)
    yield "expected OTR write", write("expected-otr")
    if find_spec("liger_kernel"):
        yield "Liger CE, both reads", liger()


def trained_logits() -> tuple[Tensor, Tensor]:
    """[CHUNK, V] bfloat16 logits and their labels, whose share q of pi' (kappa 1.3) lies evenly between 0.6 and 1."""
    generator = torch.Generator("cuda").manual_seed(0)
    logits = torch.randn(CHUNK, VOCABULARY, generator=generator, device="cuda", dtype=torch.bfloat16) * 2
    labels = torch.randint(VOCABULARY, (CHUNK, 1), generator=generator, device="cuda")
    q = 0.6 + 0.4 * torch.rand(CHUNK, 1, generator=generator, device="cuda").clamp(max=0.9999)
    others = (logits.scatter(1, labels, float("-inf")).float() / 1.3).logsumexp(1, keepdim=True)
    return logits.scatter_(1, labels, (1.3 * (others + q.logit())).bfloat16()), labels[:, 0]


def milliseconds(run: Callable[[Tensor], object], logits: Tensor) -> float:
    """The median of a run, for TOKENS rows; each is given logits as they were, since the gradient takes their place."""
    given, times = torch.empty_like(logits), []
    for _ in range(ROUNDS + 3):
        given.copy_(logits)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run(given)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times[3:]) * TOKENS / CHUNK


def measure() -> None:
    logits, labels = trained_logits()
    keys = torch.randint(2**62, (CHUNK,), device="cuda")

    def rows(objective: str, diagnostics: bool) -> Callable[[Tensor], object]:
        return lambda given: kernel.row_pass(given, labels, keys, Objective(objective), diagnostics=diagnostics)

    runs = {
        f"{label}{', diagnostics' if diagnostics else ''}": rows(name, diagnostics)
        for name, label in (("sft", "CE"), ("dft", "DFT"), ("otr", "OTR"), ("expected-otr", "expected OTR"))
        for diagnostics in (False, True)
    }
    if find_spec("liger_kernel"):
        from liger_kernel.ops.cross_entropy import LigerCrossEntropyFunction as Liger

        def liger_rows(given: Tensor) -> None:
            Liger.apply(given.detach().requires_grad_(), labels, None, -100, 0.0, 0.0, "sum")

        runs["Liger CE"] = liger_rows
    other = torch.empty_like(logits)
    copied = milliseconds(lambda given: other.copy_(given), logits)  # one read and one write
    print(f"\n{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}")
    print(f"mean q {mean_q(logits, labels):.2f}, {TOKENS:,} rows, V = {VOCABULARY:,}, bfloat16\n")
    print("| rows of a micro-batch | ms | over two reads and one write |\n|---|---:|---:|")
    print(f"| a copy, times 1.5 | {1.5 * copied:.2f} | 1.00 |")
    for name, run in runs.items():
        found = milliseconds(run, logits)
        print(f"| {name} | {found:.2f} | {found / copied / 1.5:.2f} |")


def mean_q(logits: Tensor, labels: Tensor) -> float:
    found = kernel.row_pass(logits.clone(), labels, labels, Objective(), gradient=False)
    return float(found.gt_probability.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", default="", help="print the loops of this kernel")
    options = parser.parse_args()
    print("| kernel | instructions a logit | registers | stack | barriers once | loops: instructions (barriers) |")
    print("|---|---:|---:|---:|---:|---|")
    for name, found in all_counts():
        loops = ", ".join(f"{len(loop.code)} ({loop.count('BAR.SYNC')})" for loop in found.loops)
        logits = "" if "draw" in name or "Liger" in name else f"{found.row.per_logit(16):.1f}"
        print(f"| {name} | {logits} | {found.registers} | {found.stack} | {found.barriers_once} | {loops} |")
        if name == options.code:
            for loop in found.loops:
                print(*(f"    {instruction}" for instruction in loop.code), sep="\n", end="\n\n")
    if torch.cuda.is_available():
        measure()


if __name__ == "__main__":
    main()
