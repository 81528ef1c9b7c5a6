"""What the documentation shows is what the definitions say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import holidays, legal_rules, yamltext
from states.compute import INSTANTS, OPERATIONS
from states.definition import parse
from states.diagram import mermaid

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = sorted((ROOT / "config" / "workflows").glob("*.yaml"))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_the_diagram_of_each_shipped_definition_in_the_documentation_is_current(path):
    definition = parse(yamltext.read(path).data)
    drawn = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "states.md").read_text(encoding="utf-8"), re.DOTALL)
    assert mermaid(definition) in drawn, f"run: coupe-file workflow diagram {path}"


def test_every_reckoning_zone_and_kind_of_instant_that_compute_takes_is_told_in_the_documentation():
    page = (ROOT / "docs" / "time.md").read_text(encoding="utf-8")
    words = [*legal_rules.document()["reckonings"], *holidays.ZONES, *INSTANTS]
    assert [word for word in words if f"`{word}`" not in page] == []
    families = (
        "_business_seconds",
        "_business_minutes",
        "_business_hours",
        "business_seconds_",
        "business_minutes_",
        "business_hours_",
    )
    single = [
        name for name in OPERATIONS if not any(part in name for part in families) and not name.endswith("_end_of_day")
    ]
    assert [name for name in single if f"`{name}`" not in page] == []
