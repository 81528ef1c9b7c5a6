"""The settings of the environment, as a command reads them: what is wrong is refused all at once."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import Settings, SettingsError, Wrong, read
from states.errors import BadInput


def settings() -> Settings:
    """The settings of the environment. Raises BadInput naming every variable that is wrong, all at once."""
    try:
        return read()
    except SettingsError as error:
        raise _wrong(error.problems) from None


def _wrong(problems: Sequence[Wrong]) -> BadInput:
    """The settings that are wrong, as one refusal."""
    if len(problems) == 1:
        name, message, accepted = problems[0]
        refused = BadInput("settings", message, field=name, accepted=accepted)
    else:
        lines = "\n".join(f"  {name} : {message}. Accepté : {accepted}." for name, message, accepted in problems)
        refused = BadInput("settings", f"{len(problems)} réglages sont à corriger :\n{lines}")
    refused.problems = [one._asdict() for one in problems]
    return refused
