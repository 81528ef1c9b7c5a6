"""The shipped calendars, as documents; `states.calendar.calendar` checks each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config import yamltext
from config.holidays import ALSACE_MOSELLE, ZONES

FILE = Path(__file__).parent / "calendars.yaml"
GOOD_FRIDAY = f"{ALSACE_MOSELLE}-vendredi-saint"
"""Alsace-Moselle in the communes that keep Good Friday (Code du travail, L3134-13); the others do not."""


def documents() -> dict[str, Any]:
    """Each calendar by its code: its territory, its time zone, its week. Raises YamlError."""
    read = yamltext.read(FILE).data
    found = {
        zone: {"territory": zone, "timezone": ZONES[zone].timezone, "week": read["week"], "good_friday": False}
        for zone in read["zones"]
    }
    return found | {GOOD_FRIDAY: {**found[ALSACE_MOSELLE], "good_friday": True}}
