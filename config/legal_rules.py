"""The shipped table of legal time limits, as a document; `states.legal.parse` checks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config import yamltext

FILE = Path(__file__).parent / "legal_rules.yaml"


def document() -> Any:
    """The document, every scalar the text that was written. Raises YamlError."""
    return yamltext.read(FILE).data
