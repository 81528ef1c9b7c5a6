"""Settings from the environment, read once and validated: every name begins with COUPE_FILE_."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What differs from one installation to another. URLs win over the embedded servers."""

    model_config = SettingsConfigDict(env_prefix="COUPE_FILE_", extra="ignore")

    home: Path = Path.home() / ".coupe-file" if Path.home() != Path("/") else Path("/var/tmp/coupe-file")  # noqa: S108
    database_url: str | None = None
    redis_url: str | None = None
    pooled: bool = False
    """True behind PgBouncer in transaction mode."""
    tick_seconds: Annotated[float, Field(ge=0.2, le=60)] = 5.0
    """How often the clock looks, in real seconds."""
    mail: str = "console"
    """`console`, `file:/a/folder`, `smtp://[user:password@]host:port` or `smtps://…`."""
    mail_from: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] = "coupe-file@localhost.localdomain"
    base_url: str = "http://localhost:8000"

    @model_validator(mode="after")
    def _mail(self) -> Self:
        known = ("console", "file:", "smtp://", "smtps://")
        if not self.mail.startswith(known):
            message = "COUPE_FILE_MAIL : accepté : console, file:/dossier, smtp://hôte:port, smtps://hôte:port"
            raise ValueError(message)
        return self
