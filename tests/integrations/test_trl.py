"""What would break: a TRL user's run that trains another loss, draws by batch layout, or saves something else."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from otr.errors import UserError
from otr.loss import Objective, reference
from otr.loss.draws import token_keys
from otr.loss.rows import rollout

if TYPE_CHECKING:
    from otr.integrations.trl import OTRTrainer

# trl takes seconds to import: the tests do that, and not their collection.
pytestmark = pytest.mark.skipif(find_spec("trl") is None, reason="trl is an optional dependency")
VOCABULARY = 64


def model(**changes: Any) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        pad_token_id=0,
        eos_token_id=1,
        **changes,
    )
    return Qwen3ForCausalLM(config)


def dataset(count: int = 16) -> Dataset:
    """Token ids of a learnable rule (each the one before plus three), prompts of two tokens untrained."""
    rows = []
    for index in range(count):
        ids = [(2 + index + 3 * place) % (VOCABULARY - 2) + 2 for place in range(6 + index % 7)]
        rows.append({"input_ids": ids, "labels": [-100, -100, *ids[2:]]})
    return Dataset.from_list(rows)


def trainer(folder: Path, objective: Objective | None = None, network: Any = None, **settings: Any) -> "OTRTrainer":
    from trl import SFTConfig

    from otr.integrations.trl import OTRTrainer

    words = {"<pad>": 0, "<eos>": 1} | {f"w{index}": index for index in range(2, VOCABULARY)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="<eos>")), pad_token="<pad>", eos_token="<eos>"
    )
    options = {
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "num_train_epochs": 1,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "seed": 7,
        "max_length": 64,
        "disable_tqdm": True,
    }
    args = SFTConfig(str(folder), **(options | settings))
    return OTRTrainer(
        network or model(), args, train_dataset=dataset(), processing_class=tokenizer, objective=objective or "otr"
    )


def reference_loss(network: Qwen3ForCausalLM, rows: list[dict[str, list[int]]], objective: Objective) -> Tensor:
    """Summed float64 loss, one unpadded example at a time, on the draws of step 0."""
    from otr.integrations.trl import identities

    total = torch.zeros((), dtype=torch.float64)
    for row in rows:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])[1:]
        kept = labels != -100
        logits = network(input_ids=ids).logits[0, :-1][kept].detach()
        examples, positions = (found[0, :-1][kept] for found in identities(ids, None, None))
        drawn = rollout(logits.clone(), labels[kept], token_keys(7, 0, examples, positions), objective)
        total += reference.row_losses(logits, labels[kept], objective, drawn).sum()
    return total


@pytest.mark.parametrize(
    "settings", [{}, {"padding_free": True, "max_length": None}, {"packing": True, "max_length": 24}], ids=str
)
@pytest.mark.parametrize("name", ["otr", "sft"])
def test_loss_is_the_reference_whatever_the_layout(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    network, objective = model(), Objective(name)
    found = trainer(tmp_path, objective, network, **settings)
    batch = next(iter(found.get_train_dataloader()))
    rows = [row for row in dataset() if row["input_ids"] in sequences(batch)]
    trained = sum(len(row["input_ids"]) - 2 for row in rows)
    assert trained == int((batch["labels"] != -100).sum()) > 0
    wanted = reference_loss(network.eval(), rows, objective) / trained
    network.train()
    loss = found.compute_loss(network, batch, num_items_in_batch=torch.tensor(trained))
    assert float(loss.detach()) == pytest.approx(float(wanted), rel=1e-4)


def sequences(batch: dict[str, Tensor]) -> list[list[int]]:
    """The examples of a padded, padding-free or packed batch, unpadded."""
    if "position_ids" in batch:
        starts = (batch["position_ids"][0] == 0).nonzero().flatten()[1:]
        return [piece.tolist() for piece in batch["input_ids"][0].tensor_split(starts)]
    pairs = zip(batch["input_ids"], batch["attention_mask"], strict=True)
    return [ids[mask == 1].tolist() for ids, mask in pairs]


def test_trains_logs_and_saves(tmp_path: Path) -> None:
    network = model()
    found = trainer(tmp_path, Objective(), network, num_train_epochs=30, gradient_accumulation_steps=2)
    found.train()
    logs = [entry for entry in found.state.log_history if "nll" in entry]
    assert logs[-1]["nll"] < logs[0]["nll"] / 2
    assert logs[-1]["gt_count"] > 2 * logs[0]["gt_count"] > 0
    assert {"gt_probability", "entropy", "beta_share", "num_tokens", "loss"} <= set(logs[0])
    found.save_model(str(tmp_path / "saved"))
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = torch.tensor([[5, 8, 11]])
    torch.testing.assert_close(loaded(ids).logits, network.eval()(ids).logits)


def test_sft_objective_trains_as_trl_itself(tmp_path: Path) -> None:
    """The same weights after five steps: normalisation, accumulation and data handling are TRL's."""
    from trl import SFTTrainer

    from otr.integrations.trl import OTRTrainer

    trained = []
    for kind in (OTRTrainer, SFTTrainer):
        network = model()
        ours = trainer(
            tmp_path, Objective("sft"), network, learning_rate=1e-3, max_steps=5, gradient_accumulation_steps=2
        )
        if kind is SFTTrainer:
            network = model()
            ours = SFTTrainer(network, ours.args, train_dataset=dataset(), processing_class=ours.processing_class)
        ours.train()
        trained.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    assert float((trained[0] - trained[1]).abs().max()) < 1e-5


def test_logged_means_weigh_every_token_alike(tmp_path: Path) -> None:
    """Micro-batches of 4 to 40 tokens: a mean of their means would count the short ones ten times."""
    network = model()
    found = trainer(
        tmp_path, Objective("sft"), network, per_device_train_batch_size=1, gradient_accumulation_steps=16,
        learning_rate=0.0,
    )  # fmt: skip
    found.train()
    (log,) = [entry for entry in found.state.log_history if "nll" in entry]
    tokens, total = 0, 0.0
    for row in dataset():
        logits = network.eval()(input_ids=torch.tensor([row["input_ids"]])).logits[0, 1:-1]
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(row["labels"][2:]), reduction="sum"))
        tokens += len(row["labels"]) - 2
    assert log["nll"] == pytest.approx(total / tokens, rel=1e-5) == log["loss"]


def test_evaluation_stays_cross_entropy(tmp_path: Path) -> None:
    losses = []
    for name in ("otr", "sft"):
        found = trainer(tmp_path, Objective(name))
        losses.append(found.evaluate(dataset(4))["eval_loss"])
    assert losses[0] == losses[1] > 1


def test_identity_is_the_examples_own_whatever_surrounds_it() -> None:
    from otr.integrations.trl import identities

    short, long = [5, 6, 7], [8, 9, 10, 11]
    alone, places = identities(torch.tensor([short]), None, None)
    right = identities(torch.tensor([[*short, 0], long]), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), None)
    left = identities(torch.tensor([[0, *short], long]), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]), None)
    packed = identities(torch.tensor([[*long, *short]]), None, torch.tensor([[0, 1, 2, 3, 0, 1, 2]]))
    for examples, positions in (
        (right[0][0, :3], right[1][0, :3]),
        (left[0][0, 1:], left[1][0, 1:]),
        (packed[0][0, 4:], packed[1][0, 4:]),
    ):
        assert torch.equal(examples, alone[0]) and torch.equal(positions, places[0])
    assert alone[0, 0] != right[0][1, 0] == packed[0][0, 0]
    assert identities(torch.tensor([[7, 6, 5]]), None, None)[0][0, 0] != alone[0, 0]


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({"loss_type": "dft"}, {}, "loss_type is 'dft'"),
        ({"label_smoothing_factor": 0.1}, {}, "label_smoothing_factor"),
        ({}, {"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
    ],
)
def test_settings_that_would_train_something_else_are_refused(
    settings: dict[str, Any], changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        trainer(tmp_path, network=model(**changes), **settings)
