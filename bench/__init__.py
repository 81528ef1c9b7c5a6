"""The benchmark: every figure is a ratio to raw SQL, or to a smaller database, measured side by side in one run."""
