"""Rows in, training subsets and benchmark problems out. Never imports train or evaluation."""
