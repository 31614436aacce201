"""What documents say of the workflow is drawn from the workflow; the README is short and begins with a picture."""

import re

from checkouts import ROOT, Checkout


def test_the_rule_graph_is_the_workflows(checkout: Checkout) -> None:
    run = checkout.snakemake("--rulegraph", "mermaid-js")
    # Copies into results/ and the micro experiment's one suite, whose rules end in its name, would only be noise.
    names = {id: name.removesuffix("_all") for id, name in re.findall(r"(id\d+)\[(\w+)\]", run.stdout)}
    edges = {(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", run.stdout)}
    drawn = {edge for edge in edges if not any(name == "all" or name.startswith("selected_") for name in edge)}
    diagram = (ROOT / "docs" / "architecture.md").read_text().split("```mermaid")[2].split("```")[0]
    assert set(re.findall(r"(\w+) --> (\w+)", diagram)) == drawn


def test_the_first_command_is_the_missions() -> None:
    text = (ROOT / "README.md").read_text()
    assert "sh envs/install.sh && . .venv/bin/activate && snakemake --cores all results/table1.md" in text
    test_command = 'sh envs/install.sh --test && . .venv/bin/activate && pytest -m "slow or not slow"'
    assert test_command in text
    ci = (ROOT / ".ci" / "run").read_text()
    assert "sh envs/install.sh cpu --test" in ci and 'pytest -m "slow or not slow"' in ci


def test_the_readme_takes_two_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 900
    title, _, picture = text.splitlines()[:3]
    assert title.startswith("# ") and picture.startswith("![")
    assert "https://arxiv.org/abs/2509.26313" in text and "```bibtex" in text
