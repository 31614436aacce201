"""The micro world: generated documents, a tuning set and benchmarks, enough to run the whole workflow in minutes."""
