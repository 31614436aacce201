"""Rows and models from a hub on loopback: cached at the pinned revision, served offline, one line when something fails.

In processes of their own: the hub's client reads its settings when it is imported.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT
from rehearsal.hub import Hub, client_environment
from rehearsal.repositories import make

from otr import config

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from pathlib import Path
from otr.config import Model, Source
from otr.data.sources import Folders, load_rows
from otr.errors import UserError
from otr.models.__main__ import fetch

folders, found = Folders(Path("none"), Path("none")), []
for item in json.loads(sys.argv[1]):
    try:
        if "label" in item:
            found.append(fetch(Model(**item)).name)
        else:
            found.append(len(load_rows(Source(**item), folders, [])))
    except UserError as error:
        found.append(str(error))
print(json.dumps(found))
"""
PAPER = config.load(config.experiment_file("paper"))
GSM8K = PAPER.benchmarks["gsm8k"].source.model_dump(exclude_none=True)
OPENR1 = PAPER.datasets["openr1"].source.model_dump(exclude_none=True)
BBEH = PAPER.benchmarks["bbeh"].source.model_dump(exclude_none=True)
MODEL = {"label": "x", "hub": "Qwen/Qwen2.5-7B", "revision": PAPER.models["qwen2.5-7b"].revision}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    make(folder, PAPER)
    return folder


def ask(items: list[dict[str, object]], cache: Path, address: str, offline: bool = False) -> list[object]:
    environment = client_environment(address, cache, offline)
    command = [sys.executable, "-c", PROGRAM, json.dumps(items)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    found: list[object] = json.loads(run.stdout.splitlines()[-1])
    assert not any("\n" in line for line in found if isinstance(line, str))
    return found


def test_a_filled_cache_serves_offline_and_a_damaged_one_says_so(repositories: Path, tmp_path: Path) -> None:
    items = [GSM8K, OPENR1, BBEH, MODEL]
    with Hub(repositories) as hub:
        online = ask(items, tmp_path, hub.address)
        assert online == [4, 160, 4, MODEL["revision"]]
        asked = len(hub.requests)
        assert ask([GSM8K, OPENR1], tmp_path, hub.address) == online[:2]
        # A commit never changes. (The client itself has a question of its own once a day.)
        assert not [request for request in hub.requests[asked:] if "datasets" in request]
    gone = hub.address
    assert ask([GSM8K, OPENR1, MODEL], tmp_path, gone) == [4, 160, MODEL["revision"]]
    other = GSM8K | {"split": "train"}
    offline = ask([*items, other], tmp_path, gone, offline=True)
    assert offline[:4] == online
    assert offline[4] == (
        f"hub data set 'openai/gsm8k' at revision {GSM8K['revision']}: is not in the cache as a whole and "
        "HF_HUB_OFFLINE is set; run once with a network"
    )
    (second,) = tmp_path.rglob("train-00001-of-00002.parquet")
    second.unlink()
    (rows,) = tmp_path.rglob("datasets--openai--gsm8k/snapshots/*/main/test-*.parquet")
    content = rows.read_bytes()
    rows.resolve().write_bytes(content[:-100])
    (weights,) = tmp_path.rglob("model-00002-of-00003.safetensors")
    weights.unlink()
    cut, half, model = ask([GSM8K, OPENR1, MODEL], tmp_path, gone, offline=True)
    assert f"has {len(content) - 100} of {len(content)} bytes; delete this file" in str(cut)
    assert f"'open-r1/OpenR1-Math-220k' at revision {OPENR1['revision']}" in str(half)
    assert "a part of it is not in the cache and HF_HUB_OFFLINE is set; run once with a network" in str(half)
    assert f"hub model 'Qwen/Qwen2.5-7B' at revision {MODEL['revision']}: " in str(model)
    assert "run" in str(model) and "with a network" in str(model)


def test_each_refusal_names_repository_revision_and_remedy(repositories: Path, tmp_path: Path) -> None:
    shutil.copytree(repositories, tmp_path / "hub")
    for repository in ("datasets/math-ai/aime25", "models/Qwen/Qwen3-4B-Base"):
        (tmp_path / "hub" / repository / ".gated").touch()
    wrong = "c" * 40
    items: list[dict[str, object]] = [
        PAPER.benchmarks["aime25"].source.model_dump(exclude_none=True),
        PAPER.models["qwen3-4b"].model_dump(include={"label", "hub", "revision"}),
        {"hub": "nobody/nothing", "revision": wrong},
        {"label": "x", "hub": "nobody/nothing", "revision": wrong},
        GSM8K | {"revision": wrong},
        MODEL | {"revision": wrong},
        GSM8K | {"split": "dev"},
        GSM8K | {"subset": "main2"},
    ]
    with Hub(tmp_path / "hub") as hub:
        found = [str(line) for line in ask(items, tmp_path / "cache", hub.address)]
    for line, item in zip(found, items, strict=True):
        assert f"'{item['hub']}' at revision {item['revision']}: " in line
    for line in found[:2]:
        assert "is gated; accept its terms on its page and log in (hf auth login, or HF_TOKEN), or name a local" in line
    for line in found[2:4]:
        assert "there is no such repository, or it is private; check its name or log in (HF_TOKEN)" in line
    for line in found[4:6]:
        assert "there is no such revision; correct `revision`" in line
    assert found[6].endswith("has no split 'dev'; allowed: train, test")
    assert "main2" in found[7] and "socratic" in found[7] and found[7].endswith("correct `subset`")
    for line in map(str, ask([GSM8K, MODEL], tmp_path / "empty", hub.address)):
        assert "the hub cannot be reached or broke off (" in line and "run again when it can, which goes on" in line


def test_a_full_cache_is_said(repositories: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "none", str(cache)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small file system needs root")
    try:
        with Hub(repositories) as hub:
            (line,) = ask([MODEL], cache, hub.address)
    finally:
        subprocess.run(["umount", "-l", str(cache)], check=True)
    assert str(line).endswith(
        "no space is left for the hub's cache; make room, or set HF_HOME to a folder on a larger disk"
    )
