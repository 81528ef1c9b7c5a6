"""Two languages: French where the words stand, English from translations/en.po, read when the process starts."""

from __future__ import annotations

from functools import cache
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Literal

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

Language = Literal["fr", "en"]
LANGUAGES: tuple[Language, ...] = ("fr", "en")
FOLDER = Path(__file__).parent / "translations"


class French(NullTranslations):
    """The words as they stand, with the plural of French: one and none are singular."""

    def ngettext(self, one: str, many: str, number: int) -> str:
        """The singular below two."""
        return one if abs(number) < 2 else many  # noqa: PLR2004


@cache
def translations(language: Language) -> NullTranslations:
    """What turns French into a language."""
    if language == "fr":
        return French()
    packed = BytesIO()
    with (FOLDER / f"{language}.po").open("rb") as file:
        write_mo(packed, read_po(file, locale=language))
    packed.seek(0)
    return Translations(packed)


def language(chosen: str | None) -> Language:
    """The language that a reader chose, or French."""
    return "en" if chosen == "en" else "fr"
