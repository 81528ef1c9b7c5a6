"""Whose court: one party at each instant, the parts add up; and what is said of a request before it is sent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from states import court
from states.flags import flags
from tests.states.test_clock_words import ALMANAC, HOLDER, Story, at, definition

COMMITMENT = {"length": {"working_days": "20"}, "hold": {"question": "pause", "report": "late_only"}}


def turns(story: Story, until: str) -> list[tuple[str, str, str]]:
    events = [event for decision in story.decisions for event in decision.events]
    import orjson

    from workflow.journal import dumps

    told = [(event.effective, orjson.loads(dumps(event.effect))) for event in events]
    found = court.turns(told, at(until))
    shares = court.shares(found)
    assert sum(shares.values(), timedelta(0)) == found[-1].until - found[0].since, "the parts add up exactly"
    assert all(before.until == after.since for before, after in zip(found, found[1:], strict=False))
    return [(turn.party, f"{turn.since:%d/%m %H:%M}", f"{turn.until:%d/%m %H:%M}") for turn in found]


def test_the_ball_goes_to_the_holder_while_a_request_stops_a_clock_and_back():
    story = Story(definition(it=COMMITMENT), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("30/11 18:00"), reason="r")
    story.act("answer", "19/11 10:00", HOLDER).act("move", "20/11 09:00", to_unit=11).act("end", "24/11 12:00")
    assert turns(story, "01/12 09:00") == [
        ("unit:10", "09/11 10:00", "16/11 08:00"),
        ("holder", "16/11 08:00", "19/11 09:00"),
        ("unit:10", "19/11 09:00", "20/11 08:00"),
        ("unit:11", "20/11 08:00", "24/11 11:00"),
    ]


def test_a_request_that_stops_nothing_leaves_the_ball_where_it_is():
    story = Story(definition(it=COMMITMENT), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="pieces", answer_by=at("30/11 18:00"), reason="r")
    assert turns(story, "17/11 09:00") == [("unit:10", "09/11 10:00", "17/11 08:00")]


def test_a_hold_that_the_clock_noticed_late_ended_when_it_ended():
    """Its term was Friday; nobody looked before Monday."""
    story = Story(definition(it=COMMITMENT), "09/11 11:00")
    story.act("hold", "16/11 09:00", motive="question", answer_by=at("20/11 18:00"), reason="r")
    story.act("move", "23/11 09:00", to_unit=11)
    assert ("holder", "16/11 08:00", "20/11 17:00") in turns(story, "23/11 10:00")


PERMIT = {"length": {"procedure": "permis_de_construire", "clock": "instruction"}, "hold": {"pieces": "rule"}}
NZIA = {"length": {"procedure": "nzia", "clock": "completude"}}


def flagged(story: Story) -> list[str]:
    return [flag.code for flag in flags(story.compiled.definition, story.decisions[-1], ALMANAC)]


@pytest.mark.parametrize(("asked", "codes"), [("30/09 10:00", []), ("20/10 10:00", ["late"])])
def test_a_request_for_pieces_after_the_month_of_the_law_is_flagged(asked, codes):
    story = Story(definition(it=PERMIT), "01/09 09:00")
    story.act("hold", asked, motive="pieces", answer_by=at("30/11 18:00"), reason="r")
    assert flagged(story) == codes


def test_an_answer_is_no_request():
    story = Story(definition(it=PERMIT), "01/09 09:00")
    story.act("hold", "02/09 10:00", motive="pieces", answer_by=at("30/11 18:00"), reason="r").act(
        "answer", "03/09 10:00", HOLDER
    )
    assert flagged(story) == []
