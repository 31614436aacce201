"""How long the fused head takes and how much it holds, against what it replaces. One command, one table a shape:

    python tests/benchmarks/head.py        # CPU: about ten minutes on two idle cores; CUDA: the paper's shapes
    python tests/benchmarks/head.py --shape 1024x1024x151936 --rounds 5        # tokens x width x vocabulary

A row is the forward and backward pass of one head: hidden states [N, H] and weight [V, H] to the gradients of both.
All heads of a shape run in turn, `rounds` times over, in one process; `ratio` is the median over rounds of a head's
time over our cross-entropy head's time in the same round, so that a machine that slows down slows both. On a GPU a head
runs three times in a row, and nobody waits in between, as in training. On a CPU, time is that of this process on all
its cores, which other load disturbs little. `peak` is the most memory held above the inputs, the gradients included.
Liger-Kernel and QuACK are measured where installed.
"""

import argparse
import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from otr.loss import Objective, OTRHead

BASE = "own CE"
GPU_REPEATS = 3


@dataclass(frozen=True)
class Shape:
    tokens: int
    width: int
    vocabulary: int
    chunk: int  # tokens of logits our head holds at a time
    rounds: int
    trained: bool = False  # a model that is mostly sure of its labels, else one as sure as its entropy allows


# On a CPU the first two are the micro experiment's, then one shows memory, and one the ratio that is promised.
CPU_SHAPES = [
    Shape(2000, 128, 512, chunk=2000, rounds=40, trained=True),
    Shape(2000, 128, 512, chunk=2000, rounds=40),
    Shape(1024, 256, 151_936, chunk=128, rounds=3),
    Shape(512, 1024, 151_936, chunk=256, rounds=3),
]
GPU_SHAPES = [Shape(10_240, width, 151_936, chunk=4096, rounds=10) for width in (2048, 2560, 3584, 4096)]
# (name, what it is measured against, bound, True if at most): issue targets, device by device.
TARGETS = {
    "cpu": [("own OTR", BASE, 1.10, True), ("naive OTR", "own OTR", 1.5, False), (BASE, "three GEMMs", 1.25, True)],
    "cuda": [("own OTR", BASE, 1.03, True), (BASE, "three GEMMs", 1.25, True), ("Liger CE", BASE, 2.0, False)],
}
# Where logits are few, draws are what costs: at most so many times our cross-entropy head, by `Shape.trained`.
SMALL_TARGETS = {True: 1.5, False: 2.0}
MEMORY_TARGETS = {"cpu": ("naive OTR", "own OTR", 4.0), "cuda": ("naive OTR", "own OTR", 12.0)}


class Inputs:
    """Labels are drawn from the model itself: predicted as well as its entropy allows, neither sure nor hopeless. Those
    of a trained one are chosen at random, and each state leans to its label by a random strength."""

    def __init__(self, shape: Shape, device: str) -> None:
        generator = torch.Generator(device).manual_seed(0)
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        self.shape, self.device = shape, device

        def normal(rows: int) -> Tensor:
            return torch.randn(rows, shape.width, generator=generator, device=device, dtype=dtype)

        self.hidden = normal(shape.tokens).requires_grad_()
        self.weight = nn.Parameter(normal(shape.vocabulary) * (4 / shape.width**0.5))
        self.labels = torch.randint(shape.vocabulary, (shape.tokens,), generator=generator, device=device)
        with torch.no_grad():
            if shape.trained:
                lean = 3.4 * torch.rand(shape.tokens, 1, generator=generator, device=device, dtype=dtype)
                self.hidden.mul_(0.6).add_(lean * self.weight[self.labels])
            for rows in [] if shape.trained else torch.arange(shape.tokens, device=device).split(64):
                policy = (self.hidden[rows] @ self.weight.T).float().softmax(1)
                self.labels[rows] = policy.multinomial(1, generator=generator)[:, 0]
        self.positions = torch.arange(shape.tokens, device=device)

    def own(self, objective: Objective, diagnostics: bool = False) -> Callable[[], Tensor]:
        budget = self.shape.chunk * self.shape.vocabulary * self.hidden.element_size()
        head = OTRHead(self.weight, objective, logits_budget=budget, diagnostics=diagnostics)
        examples = torch.zeros_like(self.positions)
        return lambda: head(self.hidden, self.labels, examples, self.positions, step=0, wait=False).loss

    def gt_probability(self) -> float:
        """The mean of q over the tokens."""
        head = OTRHead(self.weight, Objective())
        with torch.no_grad():
            out = head(self.hidden, self.labels)
        return float(out.gt_probability / out.tokens)

    def gemms(self) -> None:
        """Only what no head can do without: logits, and one product for each gradient; the results are dropped."""
        with torch.no_grad():
            logits = self.hidden @ self.weight.T
            logits @ self.weight
            logits.T @ self.hidden

    def torch_ce(self) -> Tensor:
        return functional.cross_entropy((self.hidden @ self.weight.T).float(), self.labels, reduction="sum")

    def torch_fused_ce(self) -> Tensor:
        loss: Tensor = functional.linear_cross_entropy(
            self.hidden, self.weight, self.labels, reduction="sum", options=torch.nn.LinearCrossEntropyOptions()
        )
        return loss

    def naive_otr(self) -> Tensor:
        """Eq. 5 to 8 line by line: full logits, torch.multinomial, autograd."""
        objective = Objective()
        logits = (self.hidden @ self.weight.T).float()
        sampling = (logits.detach() / objective.kappa).softmax(1)
        candidates = sampling.multinomial(objective.samples, replacement=True)
        reward = torch.where(candidates == self.labels[:, None], 1.0, objective.beta)
        log_policy = logits.log_softmax(1).gather(1, candidates)
        return -(reward * log_policy).mean(1).sum()

    def liger_ce(self) -> Tensor:
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction as Liger

        loss: Tensor = Liger.apply(self.hidden, self.weight, self.labels, None, None, -100, 0.0, 0.0, "sum")[0]
        return loss

    def quack_ce(self) -> Tensor:
        from quack.linear_cross_entropy import chunked_linear_cross_entropy

        chunk = self.shape.chunk
        loss: Tensor = chunked_linear_cross_entropy(self.hidden, self.weight, self.labels, chunk, reduction="sum")
        return loss


def heads(inputs: Inputs) -> dict[str, Callable[[], Tensor | None]]:
    """name -> one forward and backward pass."""

    def both(loss: Callable[[], Tensor]) -> Callable[[], Tensor | None]:
        def run() -> Tensor:
            inputs.hidden.grad = inputs.weight.grad = None
            value = loss()
            value.backward()
            return value.detach()

        return run

    found: dict[str, Callable[[], Tensor | None]] = {
        "three GEMMs": inputs.gemms,
        BASE: both(inputs.own(Objective("sft"))),
        "own DFT": both(inputs.own(Objective("dft"))),
        "own OTR": both(inputs.own(Objective("otr"))),
        "own CE, diagnostics": both(inputs.own(Objective("sft"), diagnostics=True)),
        "own OTR, diagnostics": both(inputs.own(Objective("otr"), diagnostics=True)),
        "own expected OTR": both(inputs.own(Objective("expected-otr"))),
        "naive OTR": both(inputs.naive_otr),
        "torch CE, full logits": both(inputs.torch_ce),
    }
    if hasattr(functional, "linear_cross_entropy"):  # torch 2.12 and later
        found["torch linear_cross_entropy"] = both(inputs.torch_fused_ce)
    if find_spec("liger_kernel") and inputs.device == "cuda":
        found["Liger CE"] = both(inputs.liger_ce)
    if find_spec("quack") and inputs.device == "cuda":
        found["QuACK CE"] = both(inputs.quack_ce)
    return found


def seconds(run: Callable[[], Tensor | None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(GPU_REPEATS):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / GPU_REPEATS
    start = time.process_time()
    run()
    return time.process_time() - start


def peak_bytes(run: Callable[[], Tensor | None], device: str) -> int:
    """Most memory held during `run` above what is held now."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    Path("/proc/self/clear_refs").write_text("5")  # resets this process's own high-water mark (Linux)
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":"))


def measure(shape: Shape, device: str) -> None:
    inputs = Inputs(shape, device)
    runs = heads(inputs)
    peaks: dict[str, int] = {}
    losses: dict[str, float] = {}
    first: dict[str, float] = {}
    for name, run in runs.items():  # also the warm-up
        inputs.hidden.grad = inputs.weight.grad = None
        losses[name] = float(run() or 0)
        inputs.hidden.grad = inputs.weight.grad = None
        start = time.perf_counter()
        peaks[name] = peak_bytes(run, device) if shape.vocabulary > 10_000 else 0
        first[name] = time.perf_counter() - start
    _same_loss(losses)
    # One that is several times slower needs no second look, and would take most of the time.
    slow = {name: first[name] for name in runs if peaks[name] and first[name] > 4 * first[BASE]}
    rounds = [{name: slow.get(name) or seconds(run, device) for name, run in runs.items()} for _ in range(shape.rounds)]

    def ratio(name: str, base: str) -> float:
        return statistics.median(times[name] / times[base] for times in rounds)

    sizes = f"N = {shape.tokens:,}, H = {shape.width:,}, V = {shape.vocabulary:,}, chunk {shape.chunk:,}"
    print(f"\n{sizes}, mean q {inputs.gt_probability():.2f}\n")
    print("| head | median ms | ratio to own CE | peak MB |\n|---|---:|---:|---:|")
    for name in runs:
        middle = statistics.median(times[name] for times in rounds) * 1e3
        peak = f"{peaks[name] / 1e6:,.0f}" if peaks[name] else "-"
        print(f"| {name}{' (once)' if name in slow else ''} | {middle:,.1f} | {ratio(name, BASE):.3f} | {peak} |")
    print()
    for name, base, bound, at_most in TARGETS[device]:
        if name in runs and shape.vocabulary > 10_000:
            found = ratio(name, base)
            _verdict(f"time {name} / {base}", found, bound, at_most)
    if shape.vocabulary <= 10_000:
        _verdict("time own OTR / own CE", ratio("own OTR", BASE), SMALL_TARGETS[shape.trained], at_most=True)
        _verdict("time naive OTR / own OTR", ratio("naive OTR", "own OTR"), 1.0, at_most=False)
    name, base, bound = MEMORY_TARGETS[device]
    if peaks[name]:
        _verdict(f"peak {name} / {base}", peaks[name] / peaks[base], bound, at_most=False)


def _same_loss(losses: dict[str, float]) -> None:
    """A fast head that computes something else would be no finding."""
    wanted = losses["torch CE, full logits"]
    for name in (BASE, "torch linear_cross_entropy", "Liger CE", "QuACK CE"):
        if name in losses and abs(losses[name] / wanted - 1) > 5e-3:
            raise SystemExit(f"{name}: loss {losses[name]}, torch's cross-entropy is {wanted}")


def _verdict(what: str, found: float, bound: float, at_most: bool) -> None:
    met = found <= bound if at_most else found >= bound
    print(f"{what}: {found:.2f} ({'at most' if at_most else 'at least'} {bound:g}: {'met' if met else 'MISSED'})")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--shape", action="append", help="tokens x width x vocabulary, e.g. 1024x1024x151936; repeatable"
    )
    parser.add_argument("--chunk", type=int, help="tokens of logits held at a time, for --shape (default: all)")
    parser.add_argument("--small", action="store_true", help="the micro experiment's two shapes alone")
    parser.add_argument("--rounds", type=int, help="rounds, for every shape")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    shapes = GPU_SHAPES if arguments.device == "cuda" else CPU_SHAPES
    if arguments.shape:
        sizes = [tuple(int(size) for size in text.split("x")) for text in arguments.shape]
        shapes = [Shape(n, h, v, chunk=arguments.chunk or n, rounds=3) for n, h, v in sizes]
    if arguments.small:
        shapes = [shape for shape in CPU_SHAPES if shape.vocabulary < 10_000]
    machine = torch.cuda.get_device_name() if arguments.device == "cuda" else _processor()
    load = os.getloadavg()[0]
    print(f"{machine}, torch {torch.__version__}, {torch.get_num_threads()} threads, load {load:.1f} at the start")
    for package, name in (("liger_kernel", "Liger-Kernel"), ("quack", "QuACK (quack-kernels)")):
        if not find_spec(package):
            print(f"{name} is not installed: its row is left out")
    for shape in shapes:
        rounds = arguments.rounds or shape.rounds
        measure(replace(shape, rounds=rounds), arguments.device)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
