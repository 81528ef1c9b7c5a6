"""Use cases over PostgreSQL: the only writer of dossiers."""
