"""Settings and reference data: read, validated, handed over as values. Imports nothing of ours."""
