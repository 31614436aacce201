"""A plain torch loop: the head owns the output weight and no logits of the whole batch exist.   pip install otr"""

import torch
from torch import nn

from otr import Objective, OTRHead

VOCABULARY, WIDTH, LENGTH, SEQUENCES = 97, 32, 24, 64


def main(pretraining: int = 60, steps: int = 60) -> list[float]:
    torch.manual_seed(0)
    # Each token is the one before plus the row's stride. The first four are the prompt, which is not trained.
    start, stride = torch.randint(VOCABULARY, (2, SEQUENCES, 1))
    tokens = (start + (1 + stride % 7) * torch.arange(LENGTH)) % VOCABULARY
    labels = tokens[:, 1:].clone()
    labels[:, :3] = -100
    embedding, body = nn.Embedding(VOCABULARY, WIDTH), nn.GRU(WIDTH, WIDTH, batch_first=True)
    head = OTRHead(nn.Linear(WIDTH, VOCABULARY, bias=False), "sft", seed=0)
    optimiser = torch.optim.AdamW(nn.ModuleList([embedding, body, head]).parameters(), lr=1e-2)
    # Names of the tokens: draws depend on (seed, step, example, position) and on nothing else.
    examples = torch.arange(SEQUENCES)[:, None].expand_as(labels).flatten()
    positions = torch.arange(LENGTH - 1).expand_as(labels).flatten()
    nll = []
    for step in range(pretraining + steps):
        if step == pretraining:  # a checkpoint stands here in real life: OTR fine-tunes what the model half knows
            head.objective = Objective("otr", kappa=1.3, samples=256, beta=-0.1)
        hidden = body(embedding(tokens[:, :-1]))[0].flatten(0, 1)
        out = head(hidden, labels.flatten(), examples, positions, step)
        (out.loss / out.tokens).backward()
        optimiser.step()
        optimiser.zero_grad()
        nll.append(float(out.nll / out.tokens))
    print(f"nll {nll[0]:.2f}, pre-trained {nll[pretraining]:.2f}, fine-tuned {nll[-1]:.2f}")
    return nll


if __name__ == "__main__":
    main()
