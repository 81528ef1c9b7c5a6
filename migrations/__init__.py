"""Alembic: what the database went through, in order."""
