"""Settings from the environment, read once and validated: every name begins with COUPE_FILE_."""

from __future__ import annotations

import difflib
import importlib.metadata
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from config import outside

PREFIX = "COUPE_FILE_"
# Read by one room alone, so not among the settings of all: who acts, and the name that the supervisor gives a process.
ELSEWHERE = ("COUPE_FILE_AS", "COUPE_FILE_PROCESS")
LOCAL_SENDER = "coupe-file@localhost.localdomain"
_SCHEMES = {
    "database_url": ("postgresql", "postgresql+psycopg", "postgres"),
    "redis_url": ("redis", "rediss", "redis+socket", "sentinel"),
    "base_url": ("http", "https"),
}


class Settings(BaseSettings):
    """What differs from one installation to another. URLs win over the embedded servers."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", hide_input_in_errors=True)

    home: Path = Path.home() / ".coupe-file" if Path.home() != Path("/") else Path("/var/tmp/coupe-file")  # noqa: S108
    database_url: str | None = None
    redis_url: str | None = None
    pooled: bool = False
    """True behind PgBouncer in transaction mode."""
    tick_seconds: Annotated[float, Field(ge=0.2, le=60)] = 5.0
    """How often the clock looks, in real seconds."""
    mail: str = "console"
    """`console`, `file:/a/folder`, `smtp://[user:password@]host:port` or `smtps://…`."""
    mail_from: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")] = LOCAL_SENDER
    base_url: str = "http://localhost:8000"
    """Where people find the portal; its scheme and host are what its cookies and its forms go by."""
    demo: bool = False
    """True in the demo: its fictional persons enter the portal without a password, on this machine only."""
    operator: str | None = None
    """Who answers for this portal; without it every page says that it is not official."""
    admins: str = ""
    """The logins of those who run this installation, between commas: a page of the portal is theirs."""
    oidc_client_id: str | None = None
    """What the OpenID provider knows this portal by."""
    oidc_client_secret: SecretStr | None = None
    oidc_issuer: str | None = None
    """The OpenID provider that people may sign in with (ProConnect, for an administration); without it, none."""
    oidc_name: str = "ProConnect"
    """What the provider is called on the pages."""
    oidc_scopes: Annotated[str, StringConstraints(pattern=r"^openid( [!#-\[\]-~]+)*$")] = "openid email"
    oidc_mail: Literal["verified", "trusted"] = "verified"
    """Whether a mail address must be said to be verified, or any that this provider gives is."""
    theme: Path | None = None
    """A folder whose theme.css is read after the portal's own."""
    files: Path | None = None
    """The folder of the files joined to dossiers, outside of what is served; without it, one in `home`, by the name of the database."""
    file_bytes: Annotated[int, Field(ge=1_000, le=1_000_000_000)] = 20_000_000
    """The longest file, in bytes."""
    dossier_files: Annotated[int, Field(ge=1, le=10_000)] = 100
    dossier_bytes: Annotated[int, Field(ge=1_000, le=100_000_000_000)] = 200_000_000
    """What the files of one dossier may weigh together, in bytes."""
    clamd: str | None = None
    """The antivirus: `unix:///run/clamav/clamd.ctl` or `tcp://host:3310`; without it files are not scanned."""
    webhooks_allow: str = ""
    """The hosts and the networks that webhooks may call although they are private, between commas; without it, none."""
    log: Literal["text", "json"] = "text"
    """How a process writes its log: lines for a person, or JSON for a collector."""
    lang: Literal["fr", "en"] | None = None
    """The language of help; without it, what `language` says."""

    def files_folder(self, database: str | None = None) -> Path:
        """Where files are kept: the folder that was chosen, else one in `home` for this database alone, by its name."""
        if self.files is not None:
            return self.files
        name = database or urlsplit(self.database_url or "").path.strip("/")
        return self.home / f"files-{quote(name, safe='')}"

    @property
    def administrators(self) -> frozenset[str]:
        """The logins of those who run this installation."""
        return frozenset(name.strip() for name in self.admins.split(",") if name.strip())

    @field_validator("database_url", "redis_url", "base_url")
    @classmethod
    def _address(cls, value: str | None, info: Any) -> str | None:
        if value is not None:
            _refuse_scheme(value, _SCHEMES[info.field_name])
        return value

    @field_validator("webhooks_allow")
    @classmethod
    def _webhooks_allow(cls, value: str) -> str:
        outside.allowed(value)
        return value

    @field_validator("clamd")
    @classmethod
    def _clamd(cls, value: str | None) -> str | None:
        if value is not None:
            _refuse_scheme(value, ("unix", "tcp"))
            parts = urlsplit(value)
            if parts.scheme == "unix" and (parts.netloc or not parts.path.startswith("/")):
                raise ValueError("le chemin de la prise doit être absolu : unix:///chemin")
            if parts.scheme == "tcp" and not (parts.hostname and parts.port):
                raise ValueError("l'hôte ou le port manque")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, value: str | None, info: Any) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        _refuse_scheme(value, ("https", "http"))
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("http n'est admis que sur cette machine")
        if not info.data.get("oidc_client_id") or info.data.get("oidc_client_secret") is None:
            raise ValueError("COUPE_FILE_OIDC_CLIENT_ID et COUPE_FILE_OIDC_CLIENT_SECRET manquent")
        return value

    @field_validator("mail")
    @classmethod
    def _mail(cls, value: str) -> str:
        if value != "console" and not value.startswith("file:"):
            _refuse_scheme(value, ("smtp", "smtps"))
            if not urlsplit(value).hostname:
                raise ValueError("le nom du relais manque")
            _ = urlsplit(value).port  # raises when it is no number
        return value


ACCEPTED = {
    "home": "un dossier où écrire",
    "database_url": "postgresql://utilisateur@hôte:5432/base",
    "redis_url": "redis://hôte:6379/0, ou rediss:// et redis+socket://",
    "pooled": "true ou false",
    "tick_seconds": "un nombre de secondes, de 0.2 à 60",
    "mail": "console, file:/dossier, smtp://hôte:port, smtps://hôte:port",
    "mail_from": "une adresse nom@domaine",
    "base_url": "http://hôte ou https://hôte",
    "demo": "true ou false",
    "operator": "le nom de l'organisme qui répond de ce portail",
    "admins": "des logins de l'annuaire, entre virgules",
    "oidc_client_id": "l'identifiant que le fournisseur d'identité a donné",
    "oidc_client_secret": "le secret que le fournisseur d'identité a donné",
    "oidc_issuer": "https://fournisseur, avec COUPE_FILE_OIDC_CLIENT_ID et COUPE_FILE_OIDC_CLIENT_SECRET",
    "oidc_name": "un nom, comme ProConnect",
    "oidc_scopes": "openid, puis d'autres portées séparées d'un espace",
    "oidc_mail": "verified ou trusted",
    "theme": "un dossier qui contient theme.css",
    "files": "un dossier où écrire, hors de ce qui est servi",
    "file_bytes": "un nombre d'octets, de 1000 à 1000000000",
    "dossier_files": "un nombre de pièces, de 1 à 10000",
    "dossier_bytes": "un nombre d'octets, de 1000 à 100000000000",
    "clamd": "unix:///run/clamav/clamd.ctl ou tcp://hôte:3310",
    "webhooks_allow": "des hôtes ou des réseaux, entre virgules : si.exemple.fr, 10.1.0.0/16",
    "log": "text ou json",
    "lang": "fr ou en",
}


class Wrong(NamedTuple):
    """A variable of the environment that cannot be used: its name, what is wrong with it, what would be accepted."""

    name: str
    message: str
    accepted: str


class SettingsError(ValueError):
    """The settings cannot be used; `problems` lists every one of them. No value is repeated: it may be a secret."""

    def __init__(self, problems: list[Wrong]) -> None:
        super().__init__("\n".join(f"{one.name} : {one.message}. Accepté : {one.accepted}." for one in problems))
        self.problems = problems


def read() -> Settings:
    """The settings of this process. Raises SettingsError with everything that is wrong, all at once."""
    found, problems = tolerant()
    if problems:
        raise SettingsError(problems)
    return found


def tolerant(environment: Mapping[str, str] | None = None) -> tuple[Settings, list[Wrong]]:
    """The settings, those that are wrong at their defaults, and everything that is wrong."""
    given = os.environ if environment is None else environment
    problems = unknown(given)
    try:
        return Settings(), problems
    except ValidationError as error:
        wrong = {str(one["loc"][0]): _message(one) for one in error.errors(include_url=False, include_input=False)}
    problems += [Wrong(PREFIX + name.upper(), words, ACCEPTED[name]) for name, words in wrong.items()]
    defaults: dict[str, Any] = {name: Settings.model_fields[name].default for name in wrong}
    return Settings(**defaults), sorted(problems)


def language(environment: Mapping[str, str] | None = None) -> Literal["fr", "en"]:
    """The language of help: the one chosen (COUPE_FILE_LANG), else English where the locale is English, else French."""
    given = os.environ if environment is None else environment
    chosen = given.get(PREFIX + "LANG")
    if chosen is not None and chosen in ("fr", "en"):
        return "en" if chosen == "en" else "fr"
    locale = given.get("LC_ALL") or given.get("LC_MESSAGES") or given.get("LANG") or ""
    return "en" if re.match(r"en(?![A-Za-z])", locale) else "fr"


def unknown(environment: Mapping[str, str]) -> list[Wrong]:
    """The variables that bear our prefix and that nothing reads: a misspelt address would be ignored without a word."""
    known = [PREFIX + name.upper() for name in Settings.model_fields] + list(ELSEWHERE)
    strange = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [Wrong(name, "réglage inconnu", _near(name.upper(), known)) for name in strange]


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.75)
    return ", ".join(near or sorted(known))


def _message(error: Any) -> str:
    said = str(error["msg"]).removeprefix("Value error, ")
    return said if error["type"] == "value_error" else "valeur illisible ou hors bornes"


def _refuse_scheme(address: str, schemes: tuple[str, ...]) -> None:
    scheme, separator, _ = address.partition("://")
    if not separator:
        raise ValueError("adresse illisible")
    if scheme not in schemes:
        raise ValueError(f"« {scheme[:30]} » n'est pas pris en charge")


def program() -> str:
    """The version of this program."""
    return importlib.metadata.version("coupe-file")
