"""The repositories that paper.yaml names, as tiny as can be: real names, layouts and column schemas, invented rows.

    make(Path("hub"), config.load(config.experiment_file("paper")))

Each gets the commit that the experiment pins, so that a wrong pin, path, column or gold style fails as it would on the
real hub.
"""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet as parquet

from otr.config import Experiment, sources
from otr.files import Row

ROWS = 4
"""Problems of a benchmark."""
TRACES, SOLUTIONS = 160, 96
"""Training rows of OpenR1 and of NuminaMath."""
UNPINNED = "b" * 40


def make(folder: Path, experiment: Experiment) -> None:
    """Write every data set and model repository of the experiment below `folder`."""
    for _, source in sources(experiment):
        if source.hub is not None:
            repository = folder / "datasets" / source.hub
            if not repository.exists():
                _write(repository, _DATASETS[source.hub]())
                (repository / ".commit").write_text(source.revision or UNPINNED)
    for model in experiment.models.values():
        repository = folder / "models" / str(model.hub)
        _model(repository, str(model.hub))
        (repository / ".commit").write_text(model.revision or UNPINNED)


def _write(repository: Path, files: dict[str, Any]) -> None:
    """A list of rows becomes parquet or JSONL by the file's name; a text stays one."""
    for name, content in files.items():
        file = repository / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.write_text(content)
        elif name.endswith(".parquet"):
            parquet.write_table(arrow.Table.from_pylist(content), file)
        else:
            file.write_text("".join(json.dumps(row) + "\n" for row in content))


def _card(**configs: dict[str, str]) -> str:
    """A README with the metadata that says which files a subset's splits are."""
    blocks = []
    for name, splits in configs.items():
        files = "".join(f"  - split: {split}\n    path: {path}\n" for split, path in splits.items())
        blocks.append(f"- config_name: {name}\n  data_files:\n{files}")
    return f"---\nconfigs:\n{''.join(blocks)}---\n\n# Rows\n"


def _sums(seed: str, count: int = ROWS) -> list[tuple[str, int]]:
    draw = random.Random(seed)
    pairs = [(draw.randint(2, 99), draw.randint(2, 99)) for _ in range(count)]
    return [(f"What is {a} + {b}?", a + b) for a, b in pairs]


def _gsm8k() -> dict[str, Any]:
    def rows(seed: str, count: int) -> list[Row]:
        return [
            {"question": text, "answer": f"The sum is <<{text[8:-1]}={value}>>{value}.\n#### {value:,}"}
            for text, value in _sums(seed, count)
        ]

    card = _card(main={"train": "main/train-*", "test": "main/test-*"}, socratic={"train": "socratic/train-*"})
    files = {
        "main/train-00000-of-00001.parquet": rows("gsm8k train", 8),
        "main/test-00000-of-00001.parquet": rows("gsm8k", ROWS),
    }
    return {"README.md": card, **files, "socratic/train-00000-of-00001.parquet": rows("socratic", 2)}


def _math500() -> dict[str, Any]:
    rows = [
        {
            "problem": text, "solution": f"It is $\\boxed{{{value}}}$.", "answer": f"\\frac{{{2 * value}}}{{2}}",
            "subject": "Algebra", "level": 1, "unique_id": f"test/algebra/{number}.json",
        }
        for number, (text, value) in enumerate(_sums("math500"))
    ]  # fmt: skip
    return {"README.md": "---\nlanguage:\n- en\n---\n", "test.jsonl": rows}


def _olympiadbench() -> dict[str, Any]:
    rows = [
        {
            "id": number, "question": text, "solution": [f"It is {value}."], "final_answer": [f"${value}$, $-{value}$"],
            "context": None, "modality": "Text-only", "difficulty": "Competition", "is_multiple_answer": True,
            "unit": None, "answer_type": "Numerical", "error": None, "question_type": "Open-ended",
            "subfield": "Algebra", "subject": "Math", "language": "English",
        }
        for number, (text, value) in enumerate(_sums("olympiadbench"))
    ]  # fmt: skip
    names = ("OE_TO_maths_en_COMP", "TP_TO_maths_en_COMP")
    card = _card(**{name: {"train": f"OlympiadBench_Dataset/data/{name}/*.parquet"} for name in names})
    return {"README.md": card, **{f"OlympiadBench_Dataset/data/{name}/{name}.parquet": rows for name in names}}


def _minerva() -> dict[str, Any]:
    rows = [{"question": text, "answer": f"{value}e33"} for text, value in _sums("minerva")]
    return {"README.md": "---\n---\n", "test.jsonl": rows}


def _aime24() -> dict[str, Any]:
    rows = [
        {"id": 60 + n, "problem": text, "solution": "", "answer": f"{value:03}", "url": "", "year": "2024"}
        for n, (text, value) in enumerate(_sums("aime24"))
    ]
    return {"README.md": _card(default={"train": "data/train-*"}), "data/train-00000-of-00001.parquet": rows}


def _aime25() -> dict[str, Any]:
    rows = [{"problem": text, "answer": str(value), "id": str(n)} for n, (text, value) in enumerate(_sums("aime25"))]
    return {"README.md": "---\nlicense: apache-2.0\n---\n", "test.jsonl": rows}


def _amc23() -> dict[str, Any]:
    rows = [
        {"id": n, "question": text, "answer": f"{value}.0", "url": ""} for n, (text, value) in enumerate(_sums("amc"))
    ]
    return {"README.md": _card(default={"test": "data/test-*"}), "data/test-00000-of-00001.parquet": rows}


def _bbeh() -> dict[str, Any]:
    rows = [
        {
            "input": f"{text} {'Think of it well. ' * 60}",
            "target": str(value),
            "task": ("bbeh_sums", "bbeh_more")[n % 2],
            "mini": n == 0,
        }
        for n, (text, value) in enumerate(_sums("bbeh"))
    ]
    return {"README.md": "---\n---\n", "train.jsonl": rows}


def _choices(seed: str, count: int) -> list[tuple[str, list[str], int]]:
    draw = random.Random(f"{seed} choices")
    return [
        (text, [str(value + k) for k in range(-right, count - right)], right)
        for text, value in _sums(seed)
        for right in [draw.randrange(count)]
    ]


def _supergpqa() -> dict[str, Any]:
    rows = [
        {
            "uuid": f"{n:032}", "question": text, "options": options, "answer": options[right],
            "answer_letter": "ABCDEFGHIJ"[right], "discipline": "Science", "field": "Mathematics",
            "subfield": "Arithmetic", "difficulty": "easy", "is_calculation": True,
        }
        for n, (text, options, right) in enumerate(_choices("supergpqa", 9))
    ]  # fmt: skip
    return {"README.md": _card(default={"train": "SuperGPQA-all.jsonl"}), "SuperGPQA-all.jsonl": rows}


def _mmlu_pro() -> dict[str, Any]:
    rows = [
        {
            "question_id": n, "question": text, "options": options, "answer": "ABCDEFGHIJ"[right],
            "answer_index": right, "cot_content": "", "category": "math", "src": "invented",
        }
        for n, (text, options, right) in enumerate(_choices("mmlu_pro", 10))
    ]  # fmt: skip
    card = _card(default={"test": "data/test-*", "validation": "data/validation-*"})
    files = {f"data/{split}-00000-of-00001.parquet": rows for split in ("test", "validation")}
    return {"README.md": card, **files}


def _openr1() -> dict[str, Any]:
    """Two traces a row; lengths spread, so that every interval of lengths has enough; a few traces not verified."""
    rows = []
    for n, (text, value) in enumerate(_sums("openr1", TRACES)):
        thought = f"Add them up, {text[8:-1]}. "
        trace = f"<think>\n{thought * (n % 24)}\n</think>\n\nThe sum is \\boxed{{{value}}}."
        rows.append(
            {
                "problem": text, "solution": f"It is {value}.", "answer": str(value), "problem_type": "Algebra",
                "question_type": "math-word-problem", "source": "invented", "uuid": str(n),
                "is_reasoning_complete": [True, True], "generations": [trace, "No idea."],
                "correctness_math_verify": [n % 9 != 0, False], "correctness_llama": None, "finish_reasons": None,
                "correctness_count": 1,
                "messages": [{"content": text, "role": "user"}, {"content": trace, "role": "assistant"}],
            }
        )  # fmt: skip
    card = _card(
        all={"train": "all/default-*"}, default={"train": "data/train-*"}, extended={"train": "extended/train-*"}
    )
    files = {f"data/train-0000{part}-of-00002.parquet": rows[part::2] for part in (0, 1)}
    others = {"all/default-00000-of-00001.parquet": rows[:2], "extended/train-00000-of-00001.parquet": rows[:2]}
    return {"README.md": card, **files, **others}


def _numina() -> dict[str, Any]:
    rows = [
        {"source": "synthetic_math", "problem": text, "solution": f"The sum is $\\boxed{{{value}}}$.", "messages": []}
        for text, value in _sums("numina", SOLUTIONS)
    ]
    for row in rows:
        row["messages"] = [
            {"content": row["problem"], "role": "user"},
            {"content": row["solution"], "role": "assistant"},
        ]
    card = _card(default={"train": "data/train-*", "test": "data/test-*"})
    files = {f"data/train-0000{part}-of-00003.parquet": rows[part::3] for part in range(3)}
    return {"README.md": card, **files, "data/test-00000-of-00001.parquet": rows[:2]}


_DATASETS = {
    "openai/gsm8k": _gsm8k,
    "HuggingFaceH4/MATH-500": _math500,
    "Hothan/OlympiadBench": _olympiadbench,
    "math-ai/minervamath": _minerva,
    "HuggingFaceH4/aime_2024": _aime24,
    "math-ai/aime25": _aime25,
    "math-ai/amc23": _amc23,
    "BBEH/bbeh": _bbeh,
    "m-a-p/SuperGPQA": _supergpqa,
    "TIGER-Lab/MMLU-Pro": _mmlu_pro,
    "open-r1/OpenR1-Math-220k": _openr1,
    "AI-MO/NuminaMath-CoT": _numina,
}


def _model(repository: Path, name: str) -> None:
    """Random weights in the architecture, tying and sharding of the real one, with its special tokens and template."""
    import torch
    from data.tokenizers_by_template import QWEN3, QWEN25, byte_tokenizer
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    old = "Qwen2.5" in name
    large = any(size in name for size in ("7B", "8B"))
    tokenizer = byte_tokenizer(QWEN25 if old else QWEN3)
    shape: dict[str, Any] = {
        "vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32768,
        "tie_word_embeddings": not large, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": None,
    }  # fmt: skip
    config = Qwen2Config(**shape) if old else Qwen3Config(**shape, head_dim=32)
    model = (Qwen2ForCausalLM if old else Qwen3ForCausalLM)(config).to(torch.bfloat16)
    # A base checkpoint's own cap, which must not reach the benchmarks.
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, do_sample=False, max_new_tokens=2048
    )
    model.save_pretrained(repository, max_shard_size="100KB" if large else "5GB")
    tokenizer.save_pretrained(repository)


def evalplus(folder: Path) -> dict[str, str]:
    """HumanEval+ and MBPP+ in evalplus's schema; returns the variables that tell evalplus where they are."""
    inputs = [[n] for n in range(3)]
    common = {"contract": "", "base_input": inputs, "plus_input": [[9]], "atol": 0}
    humaneval, mbpp = [], []
    for n in range(2):
        name, body = f"add_{n}", f"    return x + {n}\n"
        stub = f'def {name}(x):\n    """Return x plus {n}.\n    >>> {name}(1)\n    {1 + n}\n    """\n'
        humaneval.append(
            {"task_id": f"HumanEval/{n}", "prompt": stub, "entry_point": name, "canonical_solution": body, **common}
        )
        asked = f'"""\nWrite a function that adds {n}.\nassert {name}(1) == {1 + n}\n"""\n'
        whole = f"def {name}(x):\n{body}"
        mbpp.append(
            {"task_id": f"Mbpp/{n}", "prompt": asked, "entry_point": name, "canonical_solution": whole, **common}
        )
    found = {}
    for name, rows in (("HUMANEVAL", humaneval), ("MBPP", mbpp)):
        file = folder / f"{name.casefold()}plus.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[f"{name}_OVERRIDE_PATH"] = str(file)
    return found
