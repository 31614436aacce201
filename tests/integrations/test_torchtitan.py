"""What would break: the recipe of docs/loss.md does not run in torchtitan, or trains another loss than ours."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from otr import Objective, otr_loss

loss = pytest.importorskip("torchtitan.components.loss")
DOCS = Path(__file__).parents[2] / "docs/loss.md"


def test_the_recipe_is_our_loss_whole_and_in_chunks() -> None:
    recipe: dict[str, object] = {}
    exec(DOCS.read_text().split("### torchtitan")[1].split("```python")[1].split("```")[0], recipe)
    config = recipe["OTRLoss"].Config(objective="expected-otr", beta=0.01)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    hidden, labels = torch.randn(2, 16, 8), torch.randint(50, (2, 16))
    labels[0, :4] = -100
    body, head = nn.Linear(8, 8), nn.Linear(8, 50, bias=False)
    parameters = [*body.parameters(), *head.parameters()]

    def result(make: Callable[[], torch.Tensor]) -> list[torch.Tensor]:
        """The loss and its gradients, from nothing: the wrapper makes those of the head as it is called."""
        body.zero_grad()
        head.zero_grad()
        value = make()
        value.backward()
        return [value.detach(), *(parameter.grad.clone() for parameter in parameters if parameter.grad is not None)]

    count = (labels != -100).sum()
    whole = config.build()
    chunked = loss.ChunkedLossWrapper.Config(num_chunks=4, loss_fn=config).build()
    chunked.set_lm_head(head)
    wanted = result(lambda: otr_loss(head(body(hidden)), labels, Objective("expected-otr", beta=0.01)))
    assert len(wanted) == 4
    torch.testing.assert_close(result(lambda: whole(head(body(hidden)), labels, count)[0]), wanted)
    torch.testing.assert_close(result(lambda: chunked(body(hidden), labels, count)[0]), wanted)
