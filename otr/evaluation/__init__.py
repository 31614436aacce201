"""From a checkpoint and problems to completions, verdicts and scores. Never imports train or loss."""
