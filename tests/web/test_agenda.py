"""The calendar feed: whose dates, in the form of RFC 5545, and until its address is replaced or ended."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tests.web.conftest import BLOCKAGE, MESSAGE, NOTE, TITLE
from web.agenda import escaped, folded


def address(visitor):
    page = visitor.post("/compte/agenda").text
    return page.partition('<code class="secret">')[2].partition("<")[0].removeprefix("http://localhost:8000")


def events(body):
    """Each event of a calendar, its lines unfolded."""
    plain = body.replace("\r\n ", "")
    return [
        dict(line.split(":", 1) for line in block.strip().split("\r\n"))
        for block in re.findall(r"BEGIN:VEVENT\r\n(.*?)END:VEVENT", plain, re.DOTALL)
    ]


def test_a_calendar_has_the_running_clocks_of_ones_own_dossiers_and_no_text(portal):
    row = portal.world.row(portal.dossier)
    running = {name for name, clock in row.clocks.items() if "end" not in clock}
    for who, there in (("holder", True), ("ref1", True), ("ref0", False), ("ref6", False), ("other", False)):
        answer = portal.visitor().get(address(portal.visitor(who)))
        assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
        mine = [one for one in events(answer.text) if portal.reference in one.get("URL", "")]
        assert {one["UID"].split("-")[1] for one in mine} == (running if there else set()), who
        assert not [words for words in (TITLE, BLOCKAGE, MESSAGE, NOTE) if words in answer.text]
        assert events(answer.text)[-1]["UID"].startswith("end@")
    first = min(datetime.fromisoformat(clock["due"]) for clock in row.clocks.values() if "end" not in clock)
    starts = [
        one["DTSTART"]
        for one in events(portal.visitor().get(address(portal.visitor("holder"))).text)
        if "DTSTART" in one
    ]
    assert f"{first.astimezone(UTC):%Y%m%dT%H%M%SZ}" in starts


def test_an_address_opens_its_calendar_alone_and_ends_when_it_is_replaced(portal):
    visitor = portal.visitor("holder")
    first = address(visitor)
    secret = first.removeprefix("/agenda/").removesuffix(".ics")
    assert secret not in str(portal.world.sql("select * from api_tokens"))
    assert secret not in visitor.get("/compte").text
    api = portal.visitor().client
    assert api.get("/api/v1/me", headers={"Authorization": f"Bearer {secret}"}).status_code == 403
    bearer = portal.bearer("holder")["Authorization"].split()[1]
    assert api.get(f"/agenda/{bearer}.ics").status_code == 404
    second = address(visitor)
    assert (api.get(first).status_code, api.get(second).status_code) == (404, 200)
    key = portal.world.value("select max(id) from api_tokens where scopes = array['calendar']")
    visitor.post(f"/compte/jetons/{key}/fin")
    assert api.get(second).status_code == 404


def test_a_date_that_waits_for_the_holder_is_that_of_their_answer(portal):
    (key,) = portal.world.submit(title=TITLE, blockage=BLOCKAGE)
    portal.world.act(key, "triage", "ref0", to_unit="u1")
    term = (portal.world.now().replace(microsecond=0) + timedelta(days=9)).isoformat()
    portal.world.act(key, "hold", "ref1", motive="piece_required", answer_by=term, reason="Le plan de masse, coté.")
    body = portal.visitor().get(address(portal.visitor("holder"))).text
    waited = [one for one in events(body) if one["UID"].startswith(f"{key}-answer-")]
    assert [one["SUMMARY"].endswith(": réponse attendue") for one in waited] == [True]
    assert "plan de masse" not in body


def test_lines_are_folded_between_signs_and_values_escaped():
    line = "SUMMARY:" + "é" * 100
    pieces = folded(line).split("\r\n")
    assert pieces.pop() == ""
    assert all(len(piece.encode()) <= 75 for piece in pieces)
    assert pieces[0] + "".join(piece[1:] for piece in pieces[1:]) == line
    assert escaped("a;b,c\\d\ne") == "a\\;b\\,c\\\\d\\ne"
