"""What the database, or the way to it, refused, as a sentence that the person who asked can act on."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError

from states.errors import BadInput, CoupeFileError, Refused

_SENTENCES: dict[str, tuple[str, str]] = {
    "55P03": ("locked", "dossier en cours de traitement, réessayez"),
    "40001": ("busy", "quelqu'un d'autre écrivait au même moment, réessayez"),
    "40P01": ("busy", "quelqu'un d'autre écrivait au même moment, réessayez"),
    "57014": ("slow", "la base de données n'a pas répondu à temps, réessayez"),
    "57P01": ("stopped", "la base de données s'arrête : rien n'a été écrit, réessayez"),
    "57P03": ("starting", "la base de données démarre ou s'arrête, réessayez"),
    "53300": ("crowded", "trop de connexions à la base de données, réessayez"),
    "25006": ("read_only", "la base de données n'accepte que la lecture"),
    "42501": ("permission", "l'utilisateur de la base de données n'a pas les droits nécessaires"),
    "28P01": ("password", "la base de données refuse l'utilisateur ou le mot de passe"),
    "28000": ("password", "la base de données refuse l'utilisateur ou le mot de passe"),
    "hba": ("address", "la base de données n'accepte pas cet utilisateur depuis cette machine (pg_hba.conf)"),
    "3D000": ("database", "cette base de données n'existe pas : créez-la, puis lancez « coupe-file migrate »"),
}
_UNMIGRATED = ("42P01", "42703", "42883", "3F000")


def explain(error: Exception) -> CoupeFileError | None:
    """The sentence for what the database, or the way to it, refused; None for what should not happen."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return None
    state = cause.sqlstate
    if state in _UNMIGRATED:
        return Refused(
            "not_migrated", "la base de données n'est pas à jour de ce programme : lancez « coupe-file migrate »"
        )
    if state in _SENTENCES:
        return Refused(*_SENTENCES[state])
    if state is not None and state.startswith("22"):
        return BadInput(
            "database",
            "une valeur ne tient pas dans la base de données",
            accepted="une valeur plus courte ou plus petite",
        )
    if isinstance(cause, psycopg.OperationalError):
        missing = _refusal(str(cause))
        if missing is not None:
            return Refused(*_SENTENCES[missing])
        first = str(cause).strip().splitlines()[0][:200] if str(cause).strip() else "sans réponse"
        return Refused(
            "unreachable",
            f"base de données injoignable ({first})",
            field="COUPE_FILE_DATABASE_URL",
            accepted="une base PostgreSQL qui répond",
        )
    return None


def _refusal(words: str) -> str | None:
    """The state behind a refusal to connect, which libpq gives in words only."""
    if "does not exist" in words and ("database" in words or "role" in words):
        return "28P01" if 'role "' in words else "3D000"
    if "no pg_hba.conf entry" in words or "pg_hba.conf rejects" in words:
        return "hba"
    refused = ("authentication failed", "no password supplied", "password authentication")
    return "28P01" if any(one in words for one in refused) else None
