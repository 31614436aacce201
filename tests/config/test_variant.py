"""Keys of an experiment set on the command line."""

from pathlib import Path

import pytest
from checkouts import MICRO, ROOT

from otr.config import load
from otr.config.variant import variant
from otr.errors import UserError

ORIGINAL = ROOT / MICRO


def test_a_variant_is_the_experiment_with_its_keys_under_its_own_name(tmp_path: Path) -> None:
    before = ORIGINAL.read_bytes()
    path = variant(ORIGINAL, "training.epochs=1 methods.otr.beta=0.0", tmp_path)
    assert path == tmp_path / path.stem / f"{path.stem}.yaml"
    assert path.stem == "micro-training.epochs-1-methods.otr.beta-0.0"
    made, original = load(path), load(ORIGINAL)
    assert made.training.epochs == 1 and made.methods["otr"].beta == 0
    changed = {"name", "description", "training", "methods"}
    assert made.model_dump(exclude=changed) == original.model_dump(exclude=changed)
    assert made.training.learning_rate == original.training.learning_rate, "5e-6 stays a number"
    assert ORIGINAL.read_bytes() == before


def test_a_key_that_the_file_does_not_state_can_be_set(tmp_path: Path) -> None:
    assert load(variant(ORIGINAL, "training.weight_decay=0.5", tmp_path)).training.weight_decay == 0.5
    assert load(variant(ORIGINAL, "training_seeds=1", tmp_path)).training_seeds == 1
    path = variant(ORIGINAL, "tables.table1.best_of=[otr,sft]", tmp_path)
    assert load(path).tables["table1"].best_of == ("otr", "sft")


def test_unlike_settings_have_unlike_names(tmp_path: Path) -> None:
    settings = ["methods.otr.beta=-0.1", "methods.otr.beta=0.1", "seed=1", "seed=2", "tables.table1.rows=[otr,sft]"]
    paths = {variant(ORIGINAL, text, tmp_path, write=False) for text in settings}
    assert len(paths) == len(settings)
    long = variant(ORIGINAL, " ".join(f"training.epochs={n}" for n in range(1, 30)), tmp_path, write=False)
    assert len(long.stem) <= 100


def test_the_same_settings_leave_the_file_alone(tmp_path: Path) -> None:
    path = variant(ORIGINAL, "seed=3", tmp_path)
    before = path.stat().st_mtime_ns
    assert variant(ORIGINAL, "seed=3", tmp_path) == path and path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("training.epochs", "'training.epochs' is no setting; write key=value"),
        ("=1", "'=1' is no setting"),
        ("trianing.epochs=1", "micro.yaml has no block 'trianing'; allowed: name, description"),
        ("methods.otter.beta=0", "micro.yaml has no block 'methods.otter'; allowed: sft"),
        ("seed=[1", "'[1' is not readable as YAML"),
    ],
)
def test_a_mistake_is_one_line(settings: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        variant(ORIGINAL, settings, tmp_path)
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_unknown_key_is_named_with_the_variants_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"training\.epoch: unknown key; allowed: .*epochs"):
        load(variant(ORIGINAL, "training.epoch=1", tmp_path))
