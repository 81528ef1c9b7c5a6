"""The letter of the day: who reads which lines, each once, and what nobody wants or has lost its cause."""

import uuid

from states.decide import REMIND
from workflow import digests, letters
from workflow.outbox import Outgoing

ANNE, BELA, CARL = ("Anne", "anne@x.example"), ("Bela", "bela@x.example"), ("Carl", "carl@x.example")


def line(number, *people, dossier=None, seq=3, void=None, by_law=False, due="2026-12-01T17:00:00+00:00"):
    return Outgoing(
        id=number, message_id=uuid.UUID(int=number), dossier_id=dossier or number, seq=seq, reference=f"64-000{dossier or number}",
        title="Un titre", target="unit:1", cause={"kind": REMIND, "clock": "rung", "cycle": 1, "step": "half", "due": due},
        attempts=1, unit="DDTM", rung_label=None, state_label="Orienté", clock_label="Réponse de l'échelon", due_at=None,
        zone="Europe/Paris", people=people, void=void, by_law=by_law,
    )  # fmt: skip


def read(digest):
    return [
        (letter.digest, [mail for _, mail in letter.people], [one.id for one in letter.lines])
        for letter in digest.letters
    ]


def test_an_administration_has_one_letter_for_all_who_are_told_of_any_line():
    lines = [line(1, ANNE, BELA), line(2, ANNE, BELA), line(3, CARL)]
    made = digests.compose(lines, {})
    assert read(made) == [(True, ["anne@x.example", "bela@x.example", "carl@x.example"], [1, 2, 3])]
    again = digests.compose(lines, {})
    assert [one.message_id for one in again.letters] == [one.message_id for one in made.letters], "a repeat is known"


def test_one_person_in_two_seats_reads_of_one_event_once_and_a_lost_cause_is_no_line():
    made = digests.compose(
        [
            line(1, ANNE, dossier=7),
            line(2, ANNE, dossier=7),
            line(3, ANNE, void="plus cours"),
            line(4, ANNE, dossier=7, seq=4),
        ],
        {},
    )
    assert read(made) == [(True, ["anne@x.example"], [1, 4])]
    assert made.void == {3: "plus cours", 2: digests.TWICE}


def test_some_want_each_at_once_some_none_but_what_the_law_requires_comes():
    lines = [line(1, ANNE, BELA, CARL), line(2, BELA, CARL, by_law=True), line(3, CARL)]
    made = digests.compose(lines, {"anne@x.example": "immediate", "carl@x.example": "none"})
    assert read(made) == [
        (False, ["anne@x.example"], [1]),
        (True, ["bela@x.example"], [1, 2]),
        (True, ["carl@x.example"], [2]),
    ]
    assert made.void == {3: digests.UNWANTED}


def test_a_line_with_nobody_to_read_it_is_not_voided_it_is_somebody_s_to_see():
    made = digests.compose([line(1)], {})
    assert (made.letters, dict(made.void)) == ((), {})


def test_the_letter_says_each_date_the_most_pressing_first():
    subject, body = letters.digest([line(1, ANNE), line(2, ANNE, due="2026-11-26T17:00:00+00:00")])
    assert subject == "DDTM : 2 rappels"
    assert body.index("jeudi 26 novembre 2026 à 18 h 00") < body.index("mardi 1er décembre 2026 à 18 h 00")
    assert "64-0001 – Un titre" in body
