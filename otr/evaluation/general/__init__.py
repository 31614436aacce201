"""Grading of multiple choice and exact match, by lm-eval."""
