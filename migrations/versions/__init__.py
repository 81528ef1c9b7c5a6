"""Revisions, in order; Alembic loads them by path."""
