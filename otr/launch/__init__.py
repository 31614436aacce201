"""What the Snakefile imports: checks before any job starts, and what the screen shows."""
