"""Two examples of the lists of Territoires d'industrie, in the layouts that are published."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
