"""Copies of test problems in a training subset are found, and what only resembles them is not."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from checkouts import MICRO, ROOT

from otr import config
from otr.data.overlap import WordHashes, main, markdown, overlap, training_rows, whole_text, words
from otr.data.sources import Folders
from otr.data.subsample import examples
from otr.errors import UserError
from otr.evaluation.problems import problems
from otr.files import Row, read_json, read_jsonl, write_jsonl

WALK = (
    r"Every morning Aya goes for a $9$-kilometer-long walk and stops at a coffee shop afterwards. When she walks at a "
    r"constant speed of $s$ kilometers per hour, the walk takes her 4 hours, including $t$ minutes spent in the shop."
)
PARAPHRASE = (
    "Aya takes a walk of 9 kilometers each morning and then visits a coffee shop. At s kilometers per hour it takes "
    "four hours with the t minutes in the shop counted. How long is the walk?"
)


def report(test: list[str], training: list[str], responses: list[str] | None = None) -> Row:
    rows: list[Row] = [
        {"id": 100 + number, "problem": problem, "response": response}
        for number, (problem, response) in enumerate(zip(training, responses or [""] * len(training), strict=True))
    ]
    found = overlap(rows, {"b": [{"id": str(n), "problem": text} for n, text in enumerate(test)]})
    part: Row = found["benchmarks"]["b"]
    return part


def counts(found: Row) -> tuple[int, int, int]:
    return found["overlapping"], found["near"], found["exact"]


def test_a_planted_copy_is_found_with_the_ids_of_both() -> None:
    found = report(["What is left when all is gone?", WALK], [PARAPHRASE, WALK])
    assert counts(found) == (1, 1, 1)
    assert found["exact_share"] == 0.5
    [match] = found["matches"]
    assert (match["problem"], match["exact"], match["share"], match["rows"]) == ("1", True, 1.0, 1)
    assert match["examples"] == [{"id": 101, "part": "problem", "share": 1.0}]


def test_a_paraphrase_is_not_counted() -> None:
    assert counts(report([WALK], [PARAPHRASE])) == (0, 0, 0)


def test_thirteen_words_in_a_row_overlap_and_twelve_do_not() -> None:
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    inside = text.split()
    assert counts(report([text], ["so " + " ".join(inside[:13]) + " end"])) == (1, 1, 0)
    assert counts(report([text], ["so " + " ".join(inside[:12]) + " end"])) == (0, 0, 0)


def test_a_copy_inside_a_response_is_near_and_not_exact() -> None:
    found = report([WALK], ["Tell me about walks."], [f"First the question: {WALK} Now ..."])
    assert counts(found) == (1, 1, 0)
    assert found["matches"][0]["examples"] == [{"id": 100, "part": "response", "share": 1.0}]


def test_one_shared_sentence_overlaps_and_is_not_near() -> None:
    sentence = "Every morning Aya goes for a 9 kilometer long walk and stops at a coffee shop afterwards."
    found = report([WALK], [f"{sentence} How much does the coffee cost her in a year?"])
    assert counts(found) == (1, 0, 0)
    assert 0 < found["matches"][0]["share"] < 0.5
    assert found["matches"][0]["words"].startswith("every morning aya goes for a 9 kilometer long walk")


@pytest.mark.parametrize(
    "variant",
    [
        r"If $f(x)=\frac{3x-2}{x-2}$, what is the value of $f(-2)+f(-1)+f(0)$?",
        r"if $f(x)\, = \dfrac{3x - 2}{x - 2}$ , what is the value of $f(-2) + f(-1) +f( 0 )$",
        r"If \(f\left(x\right)=\displaystyle\tfrac{3x-2}{x-2}\), what is the value of\quad \[f(-2)+f(-1)+f(0)?\]",
        r"IF $$f(x) \;=\; \frac { 3x\!-\!2 } { x-2 }$$ what is the \text{value} of $f(-2)\ +\ f(-1)\ +\ f(0)$ ?",
    ],
)
def test_latex_spacing_case_and_punctuation_make_no_difference(variant: str) -> None:
    plain = r"If $f(x) = \frac{3x-2}{x-2}$, what is the value of $f(-2) +f(-1)+f(0)$?"
    assert whole_text(variant) == whole_text(plain)
    assert words(variant) == words(plain)
    assert counts(report([plain], [variant])) == (1, 1, 1)


def test_short_problems_are_compared_whole_with_their_operators() -> None:
    test = ["What is $3 + 5$?"]
    assert counts(report(test, ["what is 3+5"])) == (1, 1, 1)
    assert counts(report(test, ["What is 3 - 5?"])) == (0, 0, 0)
    assert counts(report(test, ["So: what is 3 + 5?"])) == (0, 0, 0)
    assert report(test, ["x"])["shorter_than_n_words"] == 1


def test_a_hyphen_is_no_operator() -> None:
    assert whole_text("a well-known x-axis, 3-4") == "a well known x axis 3 - 4"


def test_phrases_of_many_problems_do_not_count() -> None:
    phrase = "can be written as m over n where m and n are relatively prime positive integers find m plus n"
    test = [f"The side of shape {number} {phrase}" for number in range(11)]
    assert counts(report(test, [f"The area of a kite {phrase}"])) == (0, 0, 0)
    assert counts(report(test[:10], [f"The area of a kite {phrase}"])) == (10, 10, 0)
    assert counts(report(test, [test[4]])) == (1, 1, 1)


def test_several_rows_are_counted_and_the_closest_named_first() -> None:
    found = report([WALK], [WALK[:130], WALK, WALK[:100], *[WALK[:110]] * 9])
    [match] = found["matches"]
    assert match["rows"] == 12
    assert len(match["examples"]) == 5
    assert match["examples"][0] == {"id": 101, "part": "problem", "share": 1.0}


def test_hashes_are_of_the_words_and_their_order() -> None:
    hashes = WordHashes(3)
    assert len(hashes(["a", "b"])) == 0
    assert len(np.unique(hashes(["a", "b", "c", "a", "c", "b", "a", "b", "c"]))) == 6  # of 7 runs, a b c stands twice
    assert (hashes(["x", "a", "b", "c"])[1:] == WordHashes(3)(["a", "b", "c"])).all()


def test_real_rows(real_rows: Path) -> None:
    """GSM8K's training rows against its test rows, as published: a copy planted among them is the only match."""
    questions = [row["question"] for row in read_jsonl(real_rows / "gsm8k_test_200.jsonl")]
    training = [row["question"] for file in sorted(real_rows.glob("gsm8k_train*.jsonl")) for row in read_jsonl(file)]
    assert report(questions, training)["exact"] == 0
    planted = report(questions, [*training, questions[17].upper().replace(",", "")])
    assert planted["exact"] == 1
    assert [match["problem"] for match in planted["matches"] if match["exact"]] == ["17"]


def test_generated_data_holds_no_test_problem(generated: Path) -> None:
    """All 8,000 rows that micro's subset is drawn from, against its stories: phrases are shared, problems are not."""
    micro = config.load(ROOT / MICRO)
    folders = Folders(Path("none"), generated)
    rows = list(examples(micro.datasets["slips"], folders))
    found = overlap(rows, {"stories": problems(micro.benchmarks["stories"], folders)})["benchmarks"]["stories"]
    assert found["problems"] == 240
    assert found["exact"] == 0
    assert 0 < found["overlapping"] < 240


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pd.DataFrame([{"id": 3, "problem": WALK, "response": "7", "tokens": 1}])
    data.to_parquet(tmp_path / "train.parquet")
    write_jsonl(tmp_path / "problems" / "sums" / "problems.jsonl", [{"id": "0", "problem": WALK, "gold": {}}])
    arguments = ["--experiment", str(ROOT / MICRO), "--dataset", "slips", "--train", str(tmp_path / "train.parquet")]
    arguments += ["--problems", str(tmp_path / "problems"), "--out", str(tmp_path / "overlap.json")]
    main([*arguments, "--benchmarks", "sums"])
    found = read_json(tmp_path / "overlap.json")
    assert (found["experiment"], found["dataset"], found["training_rows"]) == ("micro", "slips", 1)
    assert found["benchmarks"]["sums"]["label"] == "Sums"
    assert found["benchmarks"]["sums"]["matches"][0]["examples"][0]["id"] == 3
    assert (tmp_path / "overlap.md").read_text() == markdown(found)
    assert "| Sums | 1 | 1 (100.00 %) | 1 (100.00 %) | 1 (100.00 %) |" in markdown(found)
    assert json.dumps(found)
    for wrong in (["--benchmarks", "summs"], ["--benchmarks", "sums", "--train", "nowhere.parquet"]):
        with pytest.raises(SystemExit):
            main([*arguments, *wrong])
    said = capsys.readouterr().err
    assert "--benchmarks: 'summs' is not in" in said
    assert "nowhere.parquet: no such file" in said


def test_a_damaged_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("not parquet")
    with pytest.raises(UserError, match="not readable as a training subset"):
        list(training_rows(tmp_path / "train.parquet"))
