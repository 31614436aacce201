"""Grading of mathematics: answers found, normalised and compared by math-verify."""
