"""Full-parameter fine-tuning: packed batches, one fused head for all objectives, resumable checkpoints."""
