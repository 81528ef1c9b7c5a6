"""The event log: read back by other hands, within the reader's scope, without a text or a person."""

from __future__ import annotations

import io
import json
from xml.etree import ElementTree as ET

import pytest

from config.xes import Reader
from states.report import Wanted
from workflow import export


@pytest.fixture
def lived(world):
    worked, _ = world.submit(2)
    world.act(worked, "triage", to_unit="u1")
    world.jump(days=3)
    world.sweep()
    world.resolve(worked)
    return world


def written(world, form, actor="boss"):
    with world.make() as session:
        known = export.units(session)
    asked = {"actor": world.actor(actor), "at": world.now(), "wanted": Wanted(), "known": known}
    return "".join(export.FORMATS[form](world.make, **asked))


def test_the_event_log_in_xes_is_read_back_whole(lived):
    body = written(lived, "xes")
    wanted = {"case:concept:name": ["case"], "concept:name": ["activity"], "time:timestamp": ["time"]}
    found = [cells for _, cells in Reader(wanted).events(io.BytesIO(body.encode()))]
    events = [event for key in (1, 2) for event in lived.events(key)]
    assert len(found) == len(events)
    root = ET.fromstring(body)  # noqa: S314  (written just above)
    names = [one.get("value") for one in root.iterfind(".//{*}event/{*}string[@key='concept:name']")]
    assert names == [event.kind for event in events]
    assert "Prénom" not in body
    assert lived.form["title"] not in body
    assert written(lived, "xes", "ref6").count("<trace>") == 0


def test_the_event_log_in_ocel_refers_only_to_what_it_declares(lived):
    log = json.loads(written(lived, "ocel"))
    kinds = {one["name"]: {each["name"] for each in one["attributes"]} for one in log["eventTypes"]}
    types = {one["name"]: {each["name"] for each in one["attributes"]} for one in log["objectTypes"]}
    ids = [one["id"] for one in log["objects"]]
    assert len(ids) == len(set(ids))
    assert {one["type"] for one in log["objects"]} == {"dossier", "administration"}
    assert len(log["events"]) == lived.value("select count(*) from events")
    for one in log["events"]:
        assert {each["name"] for each in one["attributes"]} <= kinds[one["type"]]
        assert {each["objectId"] for each in one["relationships"]} <= set(ids)
    for one in log["objects"]:
        assert {each["name"] for each in one["attributes"]} <= types[one["type"]]
        assert {each["objectId"] for each in one["relationships"]} <= set(ids)


def test_an_export_of_nothing_is_sound(world):
    assert json.loads(written(world, "ocel"))["events"] == []
    assert ET.fromstring(written(world, "xes")).findall("{*}trace") == []  # noqa: S314  (written just above)
