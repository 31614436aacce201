"""Which examples a step trains on, and at which learning rate: pure functions of the seed and the step."""

import math

import torch


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Whole batches only: the incomplete last one of an epoch is dropped."""
    return examples // batch_size


def batch(step: int, examples: int, batch_size: int, seed: int) -> list[int]:
    """Indices of the examples of a step (from 0): an epoch is a permutation drawn from (seed, epoch)."""
    epoch, within = divmod(step, steps_per_epoch(examples, batch_size))
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    order = torch.randperm(examples, generator=generator)
    return [int(index) for index in order[within * batch_size : (within + 1) * batch_size]]


def learning_rate(step: int, steps: int, peak: float, minimum: float, warmup: float) -> float:
    """Linear warm-up over the first share `warmup` of all steps, then a cosine from `peak` to `minimum`.

    Step 0 already has a rate above zero; the last step has `minimum` (section 4.1: 5e-6, 0.03, 1e-6).
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    progress = (step - rising) / max(1, steps - 1 - rising)
    return minimum + (peak - minimum) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
