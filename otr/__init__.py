"""One-Token Rollout: the loss, the trainer and the reproduction of the paper's tables."""
