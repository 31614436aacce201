"""The foot of a table: what all scores share, and what they do not."""

import shutil
from typing import Any


def test_scores_alike(example: Any) -> None:
    assert example.provenance() == [
        "Experiment: tiny",
        "Commit: 95a5834",
        "Seed: 7",
        "Versions: math-verify 0.9.0, python 3.11.2, vllm 0.32.0 on x86_64",
        "Protocol of base on all benchmarks: mean@1; prompt=natural, temperature=0",
        "Protocol of sft, otr on all benchmarks: mean@4; prompt=chat, temperature=0.7, top_p=0.8",
    ]


def test_settings_and_rows_are_told_by_their_digests(example: Any) -> None:
    digests = {"experiment_sha256": "ab" * 32, "problems_sha256": "cd" * 32}
    example.write_all(provenance=digests)
    for model in ("small", "large"):
        for benchmark in ("sums", "products"):
            example.write(model, "otr", benchmark, provenance=digests | {"training_rows_sha256": "ef" * 32})
    assert example.provenance()[:3] == [
        "Experiment: tiny, settings abababababab",
        "Training rows: efefefefefef",
        "Problems: sums cdcdcdcdcdcd, products cdcdcdcdcdcd",
    ]
    example.write("small", "sft", "sums", provenance=digests | {"experiment_sha256": "00" * 32})
    assert "settings abababababab (11 of 12 scores); 000000000000 (1 of 12" in example.provenance()[0]


def test_no_paths_and_no_long_texts(example: Any) -> None:
    text = "\n".join(example.provenance())
    assert "/home" not in text and str(example.results) not in text and "Question" not in text


def test_unlike_commits_are_told_with_their_scores(example: Any) -> None:
    example.write("large", "otr", "sums", provenance={"commit": "1c0ffee"})
    found = example.provenance()
    assert "Commit: 95a5834 (11 of 12 scores); 1c0ffee (1 of 12 scores: large/otr/sums)" in found
    example.write("large", "otr", "products", provenance={"commit": "1c0ffee"})
    found = example.provenance()
    assert "Commit: 95a5834 (10 of 12 scores); 1c0ffee (2 of 12 scores: large/otr)" in found
    assert "Unlike scores: not all have the same commit." in found


def test_unlike_seeds_are_told(example: Any) -> None:
    example.write("large", "otr", "sums", provenance={"seed": 8})
    assert "Unlike scores: not all have the same seed." in example.provenance()


def test_another_engine_is_told(example: Any) -> None:
    example.write_all(provenance={"engine": "transformers"})
    assert example.provenance()[-1] == "Unlike the default engine: sampled with transformers instead of vllm."


def test_vllm_is_the_default_engine(example: Any) -> None:
    example.write_all(provenance={"engine": "vllm"})
    assert not [line for line in example.provenance() if line.startswith("Unlike")]


def test_a_benchmark_asked_in_another_way_has_its_own_line(example: Any) -> None:
    for run in ("sft", "otr"):
        for model in ("small", "large"):
            example.write(model, run, "products", metric="mean@16")
    found = [line for line in example.provenance() if line.startswith("Protocol")]
    assert [line.split(":")[0] for line in found] == [
        "Protocol of base on all benchmarks",
        "Protocol of sft, otr on sums",
        "Protocol of sft, otr on products",
    ]


def test_without_a_score(example: Any) -> None:
    shutil.rmtree(example.results)
    assert example.provenance() == ["Experiment: tiny", "No score has been written yet."]
