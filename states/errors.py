"""What the core says when it will not do something, in words that the person who asked can act on."""

from __future__ import annotations

from typing import Any

SHOWN = 60


def shown(given: object) -> str:
    """What was given, short and printable, to be repeated in a refusal."""
    try:
        text = given if isinstance(given, str) else "rien" if given is None else repr(given)
    except ValueError:  # an integer of thousands of digits
        text = type(given).__name__
    text = "".join(sign if sign.isprintable() else "\ufffd" for sign in text[: SHOWN + 1])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


class CoupeFileError(Exception):
    """A refusal with a stable `code`, a French sentence, and where it applies."""

    def __init__(self, code: str, message: str, *, field: str | None = None, accepted: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.accepted = accepted

    def __str__(self) -> str:
        """The sentence as it is shown: field, rule, and what would be accepted."""
        where = f"« {self.field} » : " if self.field else ""
        hint = f" Accepté : {self.accepted}." if self.accepted else ""
        return f"{where}{self.message}{hint}"

    def as_dict(self) -> dict[str, str | None]:
        """The same refusal for a machine."""
        return {"code": self.code, "message": self.message, "field": self.field, "accepted": self.accepted}


class BadInput(CoupeFileError):
    """What was given cannot be read or breaks a rule of form; nothing was looked at yet (exit code 2).

    `problems`, when there are several, lists each of them for a machine.
    """

    problems: list[dict[str, Any]] | None = None


class Refused(CoupeFileError):
    """What was asked is well formed, and is not allowed here and now (exit code 1)."""


class Stale(Refused):
    """The dossier moved on since the person looked at it; `changes` says how."""

    def __init__(self, message: str, *, seen: int, version: int) -> None:
        super().__init__("stale", message, field="seen", accepted=f"la version {version}")
        self.seen = seen
        self.version = version


class DefinitionError(CoupeFileError):
    """A workflow definition that the validator refuses; `problems` lists every (place, sentence)."""

    def __init__(self, problems: list[tuple[tuple[str, ...], str]]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {'.'.join(place) or 'definition'} : {text}" for place, text in problems)
        super().__init__("definition", f"définition refusée ({len(problems)} problème(s))\n{lines}")
