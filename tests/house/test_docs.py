"""What the documentation shows is what the definitions say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config import yamltext
from states.definition import parse
from states.diagram import mermaid

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = sorted((ROOT / "config" / "workflows").glob("*.yaml"))


@pytest.mark.parametrize("path", DEFINITIONS, ids=lambda path: path.stem)
def test_the_diagram_of_each_shipped_definition_in_the_documentation_is_current(path):
    definition = parse(yamltext.read(path).data)
    drawn = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "states.md").read_text(encoding="utf-8"), re.DOTALL)
    assert mermaid(definition) in drawn, f"run: coupe-file workflow diagram {path}"
