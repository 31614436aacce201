"""Two objectives of your own, used like the built-in ones.   pip install otr"""

import torch

from otr import Objective, otr_loss, register

# L = -scale * H(pi) * log p_x: cross-entropy that leaves sure tokens alone. A and B carry no gradient.
register(
    "entropy-weighted",
    A=lambda token, objective: objective.scale * token.entropy,
    needs=("entropy",),
    constants={"scale": 0.5},
    equation="L = -scale sg(H) log p_x",
)
# Eq. 8 with another reward: a drawn token that lies near the label is half right, any other is punished by beta.
register(
    "near",
    reward=lambda drawn, objective: torch.where((drawn.token - drawn.label).abs() <= 2, 0.5, objective.beta),
)


def main() -> dict[str, float]:
    torch.manual_seed(0)
    logits = torch.randn(6, 50, requires_grad=True)
    labels = torch.tensor([3, 7, 7, 20, 49, -100])
    losses = {}
    for objective in (Objective("entropy-weighted", scale=0.25), Objective("near", samples=64, beta=-0.5)):
        loss = otr_loss(logits, labels, objective)
        loss.backward()
        losses[objective.name] = loss.item()
    print(losses, "gradient rows sum to", logits.grad.sum(1).abs().max().item())
    return losses


if __name__ == "__main__":
    main()
