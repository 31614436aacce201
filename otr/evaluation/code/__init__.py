"""Grading of code: programs found in completions and run against their tests in a sandbox."""
