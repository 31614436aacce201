"""The generated world: right answers, held-out test items, the column layouts of the real benchmarks, same bytes."""

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from otr.data.micro import code, general, mathematics
from otr.data.micro.__main__ import generate
from otr.data.micro.benchmarks import ANSWERS_ALONE, CODE, GENERAL, MATHEMATICS, UNEXPLAINED_SHARE
from otr.data.micro.code import Task, run
from otr.data.micro.documents import (
    CHAT_REGISTERS,
    CHOSEN_WEIGHT,
    PROGRAM_WEIGHT,
    SLIPS,
    documents,
    expert_answer,
    tuning_rows,
)
from otr.data.micro.general import Choice
from otr.data.micro.items import distinct, held_out, misread
from otr.evaluation.math.gold import read_gold
from otr.files import Row, read_jsonl, sha256

MATHS = sorted(MATHEMATICS)
PROBLEM_COLUMN = {"stories": "question", "sequences": "question", "sums": "question", "puzzles": "input"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("micro") / "world"
    generate(0, folder)
    return folder


def rows(world: Path, name: str) -> list[Row]:
    return list(read_jsonl(world / "benchmarks" / f"{name}.jsonl"))


def content(problem: str) -> tuple[str, ...]:
    """What a mathematical problem asks, whatever its wording: its numbers, operators and changes, in their order."""
    signs = {"loses": "-", "sells": "-", "buys": "+", "finds": "+"}
    problem = problem.removesuffix(" Add 100 to it.")
    found = re.findall(r"\d+|[-+*=x,/]|cdot|frac|remainder|boxes|loses|sells|buys|finds", problem)
    return tuple(signs.get(part, part) for part in found)


def asked(text: str) -> list[str]:
    """The problems inside a document."""
    turns = re.findall(r"<\|im_start\|>user\n(.*?)<\|im_end\|>", text, re.S)
    return turns or re.findall(r"Question: (.*?)\nAnswer:", text, re.S)


def test_same_seed_same_bytes_and_another_seed_differs(world: Path, tmp_path: Path) -> None:
    generate(0, tmp_path / "again")
    generate(1, tmp_path / "other")
    assert sha256(world) == sha256(tmp_path / "again")
    assert sha256(world / "tuning.jsonl") != sha256(tmp_path / "other" / "tuning.jsonl")


def test_no_test_item_is_in_the_documents_or_the_tuning_set(world: Path) -> None:
    trained = {row["problem"] for row in read_jsonl(world / "tuning.jsonl")}
    text = []
    for row in read_jsonl(world / "documents.jsonl.gz"):
        text.append("".join(piece for piece, _ in row["segments"]))
        trained.update(asked(text[-1]))
    contents = {content(problem) for problem in trained}
    assert len(contents) > 8_000
    for name in MATHS:
        for row in rows(world, name):
            assert content(row[PROBLEM_COLUMN.get(name, "problem")]) not in contents
    everything = "\n".join(text)
    for name in ("completions", "functions"):
        for row in rows(world, name):
            summary = re.findall(r"[Rr]eturns? (.*)\.", row["prompt"])[0]
            assert f"eturn {summary}." not in everything and f"returns {summary}." not in everything
    for name in GENERAL:
        for row in rows(world, name):
            assert row[PROBLEM_COLUMN.get(name, "question")] not in trained or name != "puzzles"


@pytest.mark.parametrize("name", sorted(general.SKILLS))
def test_general_test_items_are_not_among_training_items(name: str, world: Path) -> None:
    """Questions about kinds are held out by their set of words, however they are ordered."""

    def fingerprint(problem: str) -> tuple[str, ...]:
        question = problem.partition("\nOptions:\n")[0]
        return tuple(sorted(re.findall(r"\w+", question))) if name == "categories" else (question,)

    trained: set[tuple[str, ...]] = set()
    for row in read_jsonl(world / "documents.jsonl.gz"):
        if row["skill"] == name:
            trained.update(map(fingerprint, asked("".join(text for text, _ in row["segments"]))))
    assert len(trained) > 500
    for row in rows(world, name):
        assert fingerprint(row[PROBLEM_COLUMN.get(name, "question")]) not in trained


def calculated(name: str, problem: str) -> Fraction | None:
    """The answer worked out from the wording alone, by other means than the generator's."""
    if problem.endswith(" Add 100 to it."):
        first = calculated(name, problem.removesuffix(" Add 100 to it."))
        return None if first is None else first + 100
    numbers = [int(number) for number in re.findall(r"\d+", problem)]
    if name in ("sums", "products"):
        expression = re.search(r"\d[\d+*-]*\d", problem)
        assert expression
        return Fraction(eval(expression.group()))
    if name == "remainders":
        expression = re.search(r"\d[\d+-]*\d", problem)
        assert expression
        return Fraction(eval(expression.group()) % numbers[-1])
    if name == "fractions":
        first, *terms = re.findall(r"[-+]?\\frac\{\d+\}\{\d+\}", problem)
        total = numbers[0] * value(first)
        return sum((value(term[1:]) * (-1 if term[0] == "-" else 1) for term in terms), total)
    if name == "equations":
        sides = re.findall(r"([\dx+-]*x[\d+-]*)=([\dx+-]+)", problem)[0]
        return next(Fraction(x) for x in range(-50, 51) if len({side_value(side, x) for side in sides}) == 1)
    if name == "stories":
        total = numbers.pop(0) * numbers.pop(0)
        for change in re.findall(r"buys|finds|loses|sells", problem):
            total += numbers.pop(0) * (1 if change in ("buys", "finds") else -1)
        return Fraction(total)
    return None


def side_value(side: str, x: int) -> int:
    """One side of an equation, such as 7x-15, at x."""
    return int(eval(re.sub(r"(\d*)x", lambda found: f"{found[1] or 1}*({x})", side)))


def value(answer: str) -> Fraction:
    found = re.fullmatch(r"\\frac\{(\d+)\}\{(\d+)\}", answer)
    return Fraction(int(found[1]), int(found[2])) if found else Fraction(answer)


@pytest.mark.parametrize("name", MATHS)
def test_answers_and_every_step_are_right(name: str) -> None:
    random = Random(7)
    for _ in range(400):
        item = mathematics.SKILLS[name](random)
        expected = calculated(name, item.problem)
        assert expected is None or value(item.answer) == expected, item
        assert item.answer == str(item.result).join(item.frame)
        for step in item.steps:
            left, right = step.split("=")
            assert eval(left) == int(right), (item, step)


def wide(step: str) -> bool:
    """Whether a step adds a number of two digits or takes one away."""
    found = re.fullmatch(r"\d+[-+](\d+)=\d+", step)
    return found is not None and int(found[1]) in mathematics.WIDE


@pytest.mark.parametrize("name", MATHS)
def test_a_tenth_of_each_benchmark_asks_for_a_step_that_no_document_has(name: str, world: Path) -> None:
    problems = [row[PROBLEM_COLUMN.get(name, "problem")] for row in rows(world, name)]
    assert sum(problem.endswith(" Add 100 to it.") for problem in problems) == len(problems) / 10
    text = (row["segments"] for row in read_jsonl(world / "documents.jsonl.gz"))
    assert not any("Add 100" in part for segments in itertools.islice(text, 5000) for part, _ in segments)
    random = Random(11)
    for _ in range(100):
        item = mathematics.further(mathematics.SKILLS[name](random))
        expected = calculated(name, item.problem)
        assert expected is None or value(item.answer) == expected, item


def test_steps_are_small_facts_that_drills_hold() -> None:
    """No step of any skill but a wide one is out of the drills' reach: what a skill needs is learnt in all of them."""
    random = Random(8)
    drilled = {"".join(mathematics.fact(random)) for _ in range(60_000)}
    steps = [step for make in mathematics.SKILLS.values() for _ in range(300) for step in make(random).steps]
    narrow = [step for step in steps if not wide(step)]
    assert sum(step in drilled for step in narrow) > 0.97 * len(narrow)


@pytest.mark.parametrize("name", sorted(set(MATHS) - {"sequences"}))
def test_a_share_of_the_problems_has_one_wide_step(name: str) -> None:
    random = Random(10)
    counts = Counter(sum(map(wide, mathematics.SKILLS[name](random).steps)) for _ in range(2000))
    assert set(counts) == {0, 1}
    assert counts[1] / 2000 == pytest.approx(mathematics.WIDE_SHARE, abs=0.04)


def test_sequences_follow_one_rule() -> None:
    """The answer continues the shown terms by the rule that the wording names."""
    random = Random(3)
    for _ in range(400):
        item = mathematics.sequences(random)
        a, b, c, d = (int(n) for n in re.findall(r"\d+", item.problem))
        expected = {
            "up by equal steps": d + d - c if d - c == c - b == b - a > 0 else None,
            "up by growing steps": d + d - c + 1 if d - c == c - b + 1 == b - a + 2 > 0 else None,
            "up and down in turn": d - (b - c) if d - c == b - a else None,
        }
        rules = [rule for rule in expected if rule in item.problem]
        assert [expected[rule] for rule in rules] == [int(item.answer)]


@pytest.mark.parametrize("name", MATHS)
def test_a_slip_is_in_the_last_result_alone(name: str) -> None:
    random = Random(9)
    for _ in range(200):
        item = mathematics.SKILLS[name](random)
        slip = misread(item, random)
        assert slip.problem == item.problem and slip.steps[:-1] == item.steps[:-1]
        assert slip.result != item.result >= 0 and slip.result >= 0
        assert slip.answer == str(slip.result).join(item.frame) != item.answer


def test_gold_answers_read_from_each_layout(world: Path) -> None:
    golds: dict[str, tuple[str, str, Callable[[Row], str]]] = {
        "stories": ("answer", "after-hashes", lambda row: row["answer"].split("#### ")[1]),
        "fractions": ("answer", "plain", lambda row: row["answer"]),
        "sequences": ("final_answer", "list", lambda row: row["final_answer"][0]),
        "products": ("solution", "boxed", lambda row: str(calculated("products", row["problem"]))),
        "equations": ("answer", "plain", lambda row: str(calculated("equations", row["problem"]))),
        "remainders": ("answer", "plain", lambda row: str(calculated("remainders", row["problem"]))),
        "sums": ("answer", "plain", lambda row: str(calculated("sums", row["question"]))),
    }
    for name, (column, style, expected) in golds.items():
        for row in rows(world, name):
            assert list(read_gold(row, {"answer": column}, style).answers) == [expected(row)], (name, row)


REAL_ROWS = {
    "stories": "gsm8k_test_200",
    "fractions": "math500_250",
    "sequences": "olympiadbench_200",
    "products": "minerva_math_136",
    "equations": "amc23",
    "remainders": "aime24",
    "sums": "aime25",
    "completions": "humanevalplus_60",
    "functions": "mbppplus_80",
    "choices": "mmlu_pro_200",
    "puzzles": "bbeh_mini_120",
}


@pytest.mark.parametrize("name", sorted(REAL_ROWS))
def test_columns_are_those_of_the_real_benchmark(name: str, world: Path) -> None:
    data = Path(os.environ.get("OTR_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
    file = data / f"{REAL_ROWS[name]}.jsonl"
    if not file.is_file():
        pytest.skip(f"real rows are not here: {file} (set OTR_DATA)")
    real = next(read_jsonl(file))
    for row in rows(world, name):
        shared = set(row) - {"task"}  # only the full BBEH names its tasks
        assert shared <= set(real)
        assert all(type(row[key]) is type(real[key]) for key in shared)


def test_sizes(world: Path) -> None:
    for name, (_, count) in (MATHEMATICS | GENERAL | CODE).items():
        assert len(rows(world, name)) == count
    for name in (*MATHEMATICS, *GENERAL):
        assert len(list(read_jsonl(world / "few_shot" / f"{name}.jsonl"))) == 5


def test_a_fifth_of_code_and_general_asks_for_what_no_document_explains(world: Path) -> None:
    """The telling words of those problems stand in no document; those of the others do."""
    documents_words: Counter[str] = Counter()
    for row in read_jsonl(world / "documents.jsonl.gz"):
        if row["skill"] not in MATHS:
            documents_words.update(re.findall(r"[a-z-]+", "".join(text for text, _ in row["segments"])))

    def is_strange(problem: str) -> bool:
        told = problem.partition("\nassert")[0].replace("letters of", "")
        return any(documents_words[word] == 0 for word in re.findall(r"[a-z-]+", told)) or "last to first" in told

    for names in [*((name,) for name in GENERAL), tuple(CODE)]:
        asked_for = [row for name in names for row in rows(world, name)]
        problems = [row.get("input") or row.get("question") or row["prompt"] for row in asked_for]
        assert sum(map(is_strange, problems)) == round(UNEXPLAINED_SHARE * len(problems)), names


@pytest.mark.parametrize("name", sorted(CODE))
def test_programs_pass_their_own_contract_and_assertion(name: str, world: Path) -> None:
    for row in rows(world, name):
        program = row["prompt"] + row["canonical_solution"]
        for arguments in row["base_input"] + row["plus_input"]:
            result = run(program, row["entry_point"], tuple(arguments))
            json.dumps(result)
        head, body = row["canonical_solution"].split("\n", 1) if name == "functions" else (row["prompt"], "")
        guarded = f"{head}\n{row['contract']}{body}" if name == "functions" else program
        run(guarded, row["entry_point"], tuple(row["base_input"][0]))
        for line in re.findall(r"^assert .*", row["prompt"], re.M):
            scope: dict[str, object] = {}
            exec(program + line, scope)


def test_demonstrations_are_worked_but_for_two_benchmarks(world: Path) -> None:
    for name in MATHS:
        shown = [row["solution"] for row in read_jsonl(world / "few_shot" / f"{name}.jsonl")]
        assert all(("=" in solution) == (name not in ANSWERS_ALONE) for solution in shown)


def test_code_tasks_are_distinct_and_varied() -> None:
    random = Random(1)
    tasks = [code.tasks(random) for _ in range(500)]
    assert all(isinstance(task, Task) for task in tasks)
    assert len({task.body for task in tasks}) > 250
    assert len({task.name for task in tasks}) == 5


def test_exactly_one_option_is_right() -> None:
    random = Random(2)
    for _ in range(300):
        item = general.choices(random)
        hour, _ = map(int, re.findall(r"\d+", item.question))
        written = general.choices_in_words(random)
        spoken = general.NUMBERS.index(written.question.split()[3])
        assert written.index == spoken // 6 and written.options == item.options
        assert item.options[item.index] == ("night", "morning", "afternoon", "evening")[hour // 6]
        for words, known in (
            (general.categories(random), general.KINDS),
            (general.categories_of_strangers(random), general.STRANGERS),
        ):
            shown = re.findall(r"\w+", words.question.partition(": ")[2])
            counts = [sum(word in known[kind] for word in shown) for kind in words.options]
            assert sorted(counts) in ([0, 1, 1, 2], [0, 0, 1, 3]) and counts.index(max(counts)) == words.index


def test_puzzles_have_the_answer_that_they_ask_for() -> None:
    random = Random(6)
    for _ in range(300):
        item = random.choice((general.puzzles, general.puzzles_backwards))(random)
        letters = item.problem.rstrip(".?").rpartition(": ")[2].split()
        if "Sort" in item.problem:
            assert item.answer == " ".join(sorted(letters, reverse="last to first" in item.problem))
        elif "last in the alphabet" in item.problem:
            assert item.answer == max(letters)
        else:
            asked_for, _, listed = item.problem.removeprefix("How often does ").partition(" stand here: ")
            assert int(item.answer) == listed.rstrip("?").split().count(asked_for) > 0


def test_choices_are_items_whose_letter_is_the_answer() -> None:
    item = general.categories(Random(4))
    assert isinstance(item, Choice)
    assert item.answer == f"({general.LETTERS[item.index]})"


def test_documents_carry_every_skill_in_both_forms_with_weights() -> None:
    seen = set()
    for row in documents(Random(0), 2000):
        seen.add((row["skill"], row["form"]))
        weights = [weight for _, weight in row["segments"]]
        answer = PROGRAM_WEIGHT if row["skill"] == "code" else CHOSEN_WEIGHT if row["skill"] in GENERAL else 1.0
        assert weights[::2] == [0.1] * len(weights[::2]) and weights[1::2] == [answer] * len(weights[1::2])
    assert len(seen) == 2 * (7 + 1 + 3) + 1


def test_tuning_rows_are_distinct_boxed_and_of_varying_length() -> None:
    tuning = list(tuning_rows(Random(0), 2000))
    assert len({row["problem"] for row in tuning}) == len(tuning)
    lengths = sorted(len(row["solution"]) for row in tuning)
    assert lengths[-1] > 1.5 * lengths[0]
    for row in tuning:
        assert row["solution"].endswith(f"\\boxed{{{row['answer']}}}$.")
        assert row["messages"][0] == {"role": "user", "content": row["problem"]}
        assert row["messages"][1] == {"role": "assistant", "content": row["solution"]}


def test_slips_are_as_frequent_as_their_column_says_and_nested() -> None:
    """A wrong solution ends in another result and the answer that follows; larger shares hold the smaller ones."""
    tuning = list(tuning_rows(Random(0), 2000))
    wrong = {share: [row[f"slips_{100 * share:.0f}"] != row["solution"] for row in tuning] for share in SLIPS}
    for share, slips in wrong.items():
        assert sum(slips) / len(slips) == pytest.approx(share, abs=0.03)
    for smaller, larger in itertools.pairwise(SLIPS):
        assert all(there for here, there in zip(wrong[smaller], wrong[larger], strict=True) if here)
    for row in tuning:
        right, slip = (row[name].split("\n")[0].split("=") for name in ("solution", "slips_50"))
        assert len(right) == len(slip) and right[:-1] == slip[:-1]


def test_registers_are_as_frequent_as_declared() -> None:
    """By their form alone; a guess looks like a direct answer."""
    found: Counter[str] = Counter()
    for row in documents(Random(1), 6000):
        answer = row["segments"][-1][0]
        if row["form"] == "chat" and row["skill"] in MATHS:
            found["direct" if " ... $\\" in answer else "expert" if "\nThe answer" in answer else "short"] += 1
    total = found.total()
    assert found["expert"] / total == pytest.approx(CHAT_REGISTERS["expert"], abs=0.04)
    assert found["short"] / total == pytest.approx(CHAT_REGISTERS["short"], abs=0.04)


def test_about_one_item_in_eight_is_held_out() -> None:
    random = Random(5)
    for generator in mathematics.SKILLS.values():
        share = sum(held_out(generator(random)) for _ in range(3000)) / 3000
        assert 0.09 < share < 0.16


def test_too_few_contents_are_an_error() -> None:
    """A generator that cannot make as many would be asked for ever."""
    item = mathematics.sums(Random(0))
    assert distinct(itertools.repeat(item), 1) == [item]
    with pytest.raises(ValueError, match="2 different contents are needed, 1 were found"):
        distinct(itertools.repeat(item), 2)


def test_the_expert_ends_with_the_box() -> None:
    item = mathematics.sums(Random(0))
    assert expert_answer(item).endswith(f"The answer is $\\boxed{{{item.answer}}}$.")
