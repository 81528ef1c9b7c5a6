"""The NZIA report on a handful of projects whose dates can be counted on fingers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from states.facts import Facts, Promise
from states.nzia import nzia, plain

PARIS = ZoneInfo("Europe/Paris")


def on(month, day, year=2027):
    return datetime(year, month, day, 9, tzinfo=UTC)


def project(complete=None, closed=None, outcome=None, due=None, extended=(), **data):
    submitted = on(1, 4)
    promises = (
        ()
        if complete is None
        else (Promise("nzia", "legal", complete, due or on(12, 31), closed, 1, None, (), extended),)
    )
    given = {"regulation": "nzia", "technologie": "stockage_co2", "capacite": "1_gw_ou_plus", **data}
    return Facts(1, submitted, "projet@1", submitted, None, None, 1, None, "resolved" if closed else "triaged", given, outcome,
                 False, None, None, closed, outcome == "withdrawn", promises, ())  # fmt: skip


def made(*projects, since=None, until=None, now=None):
    named = [(f"P{n}", one) for n, one in enumerate(projects, 1)]
    return plain(
        nzia(named, since=since or on(1, 1), until=until or on(1, 1, 2028), now=now or on(1, 1, 2028), zone=PARIS)
    )


def test_decided_ones_have_a_duration_extensions_included_and_open_ones_stand_beside():
    said = made(
        project(on(2, 1), on(3, 1), "approved"),
        project(on(2, 1), on(5, 2), "refused", due=on(4, 1), extended=("complexite",)),
        project(on(2, 1), on(2, 5), "withdrawn"),
        project(on(12, 1)),
    )
    (one,) = said["technologies"].values()
    assert (one["begun"], one["decisions_approved"], one["decisions_refused"], one["withdrawn"]) == (4, 1, 1, 1)
    assert one["decided"] == {"count": 2, "mean": 59, "median": 59, "min": 28, "max": 90}
    assert (one["decided_late"], one["extended"], one["open"], one["open_late"]) == (1, 1, 1, 1)
    assert one["open_ages"]["max"] == 31
    assert said["missing"] == []
    assert said["never_here"]


def test_a_refusal_before_completeness_is_a_refused_application_and_what_is_missing_is_said():
    said = made(project(None, on(2, 2), "refused", technologie=None), project(None, technologie="autre", capacite=None))
    unsaid, other = said["technologies"]["non précisée"], said["technologies"]["autre"]
    assert (unsaid["applications_refused"], unsaid["decisions_refused"], unsaid["decided"]) == (1, 0, None)
    assert other["open_ages"] is None
    assert {one["what"]: one["dossiers"] for one in said["missing"]} == {
        "technology": ["P1"], "other": ["P2"], "capacity": ["P2"], "completeness": ["P1", "P2"],
    }  # fmt: skip


def test_a_period_and_another_regulation():
    early, late = project(on(2, 1), on(3, 1), "approved"), project(on(2, 1), on(8, 1), "approved")
    first = made(early, late, until=on(7, 1), now=on(9, 1))["technologies"]["stockage_co2"]
    assert (first["begun"], first["decided"]["count"], first["open"]) == (2, 1, 1)
    second = made(early, late, since=on(7, 1), now=on(9, 1))["technologies"]["stockage_co2"]
    assert (second["begun"], second["decided"]["count"], second["open"]) == (0, 1, 0)
    assert made(replace(early, data={"regulation": "crma"}))["technologies"] == {}
