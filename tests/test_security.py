"""What SECURITY.md says of code, weights and rows of others. The sandbox has tests of its own
(tests/evaluation/code/test_sandbox.py), resumable checkpoints too (tests/train/test_reading.py)."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT

from otr.machine.provenance import provenance

LOADERS = {"from_pretrained", "from_config", "LLM"}
NO_CODE = {("shapes.py", "from_config"), ("pretrain.py", "from_config"), ("gguf.py", "from_config")}
"""Built from a configuration object of transformers' own, never from a folder."""


def test_every_loader_is_told_not_to_run_code() -> None:
    """By its keyword, everywhere in the package: the default is to ask on standard input."""
    calls = 0
    for file in (ROOT / "otr").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name not in LOADERS or (file.name, name) in NO_CODE:
                continue
            calls += 1
            told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert told.get("trust_remote_code") == "False", f"{file}:{node.lineno}: {name}"
    assert calls >= 5


def test_a_stage_answers_no_question(tmp_path: Path) -> None:
    """Whatever stands on its standard input."""
    program = (
        "from otr.command.stage import Stage\n"
        "with Stage('x', None).run(['--experiment', 'workflow/experiments/micro.yaml']):\n"
        "    print('found', input())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], input="y\n", cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert "EOFError" in run.stderr and "found" not in run.stdout


def test_a_data_sets_own_script_is_not_run(tmp_path: Path) -> None:
    """`datasets` has no loading scripts any more."""
    ran = tmp_path / "ran"
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "rows.py").write_text(f"open({str(ran)!r}, 'w')\n")
    program = "import sys, datasets; datasets.load_dataset(sys.argv[1], streaming=True)"
    command = [sys.executable, "-c", program, str(tmp_path / "rows")]
    run = subprocess.run(command, input="y\n", capture_output=True, text=True, timeout=120)
    assert run.returncode != 0
    assert not ran.exists()


def test_every_folder_is_quoted_in_every_rule() -> None:
    """Settings that are not one of a few words reach a shell as one word."""
    words = {"machine.engine", "machine.track"}
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for field in re.findall(r"\{((?:machine\.|EXPERIMENT)[^}]*)\}", file.read_text()):
            assert field in words or field.endswith(":q"), f"{file}: {field}"


def test_results_name_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_do_not_write_me_down")
    text = json.dumps(provenance())
    assert "hf_do_not_write_me_down" not in text
    assert str(Path.home()) not in text
