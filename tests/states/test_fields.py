"""What a person gives: each type of field refuses in words what it cannot read, and gives values that JSON can hold."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from states.definition import Definition, Submission
from states.errors import BadInput
from states.fields import check
from tests.states.dossiers import compiled, small

FIELDS = {
    "reason": {"type": "text", "min": "3", "max": "10"},
    "outcome": {"type": "choice", "of": ["done", "refused"]},
    "to_unit": {"type": "unit"},
    "to_user": {"type": "person"},
    "seen": {"type": "version"},
    "forced": {"type": "boolean"},
    "wanted_on": {"type": "instant"},
    "day": {"type": "date"},
    "power": {"type": "integer", "min": "1", "max": "500"},
    "mark": {"type": "code"},
    "commune": {"type": "commune"},
    "topic": {"type": "topic"},
}
DEFINITION: Definition = compiled(small(clocks={}, fields=FIELDS)).definition
NINES = "9" * 5000
BROKEN = "a\ud800b"


def read(name: str, value: Any) -> Any:
    """Give one field as it is kept."""
    return check(DEFINITION, Submission(by=("referent",), needs=(name,)), {name: value})[name]


def refusal(name: str, value: Any) -> BadInput:
    """Give the refusal of a value: it names the field and what is accepted, and can be written as JSON."""
    with pytest.raises(BadInput) as refused:
        read(name, value)
    error = refused.value
    assert error.field == name
    assert error.accepted
    assert name in str(error)
    assert orjson.loads(orjson.dumps(error.as_dict()))["code"] == error.code
    return error


# Known, unknown, missing


def test_an_unknown_field_is_refused_with_those_that_are_known():
    asked = Submission(by=("referent",), needs=("topic",), optional=("commune",))
    with pytest.raises(BadInput) as refused:
        check(DEFINITION, asked, {"topic": "eau", "colour": "red"})
    assert refused.value.as_dict() == {
        "code": "unknown_field",
        "message": "champ inconnu ici",
        "field": "colour",
        "accepted": "topic, commune",
    }


def test_a_field_where_none_is_asked_is_refused():
    with pytest.raises(BadInput) as refused:
        check(DEFINITION, Submission(by=("referent",)), {"topic": "eau"})
    assert refused.value.accepted == "aucun champ"


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_needed_field_that_is_not_given_is_refused_with_what_is_expected(name: str, nothing: str | None):
    assert refusal(name, nothing).code == "missing"


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("blank", [" ", "\t\n ", "\u00a0", "\u2003"])
def test_a_needed_field_that_is_blank_is_refused(name: str, blank: str):
    refusal(name, blank)


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_optional_field_that_is_not_given_is_left_out(nothing: str | None):
    asked = Submission(by=("referent",), optional=("topic",))
    assert check(DEFINITION, asked, {"topic": nothing}) == {}


def test_a_field_that_says_no_or_zero_is_given():
    assert read("forced", False) is False
    assert read("to_unit", 0) == 0


# Every type at once


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        "a\0b",
        BROKEN,
        "\ud800",
        NINES,
        10**5000,
        "x" * 100_000,
        [],
        {},
        ["done"],
        {"a": 1},
        b"done",
        object(),
        1.5,
        float("nan"),
    ],
    ids=[
        "nul",
        "surrogate",
        "alone",
        "nines",
        "int",
        "long",
        "list",
        "dict",
        "words",
        "keys",
        "bytes",
        "object",
        "half",
        "nan",
    ],
)
def test_no_type_of_field_takes_garbage(name: str, value: Any):
    refusal(name, value)


@pytest.mark.parametrize("name", FIELDS)
def test_a_refusal_does_not_repeat_a_hundred_thousand_signs(name: str):
    assert len(str(refusal(name, "x" * 100_000))) < 1_000


@pytest.mark.parametrize("name", FIELDS)
@given(value=st.one_of(st.text(), st.integers(), st.booleans(), st.floats(), st.datetimes(), st.dates(), st.binary()))
@settings(max_examples=100, deadline=None)
def test_whatever_is_given_is_read_or_refused_and_json_holds_it(name: str, value: Any):
    try:
        kept = read(name, value)
    except BadInput as error:
        assert error.accepted
    else:
        assert orjson.loads(orjson.dumps(kept)) == kept
        assert read(name, kept) == kept


# Text


def test_a_text_is_kept_in_nfc_without_surrounding_space():
    assert read("reason", "  e\u0301te\u0301  ") == "été"


def test_the_length_of_a_text_is_counted_in_nfc():
    assert read("reason", "e\u0301" * 10) == "é" * 10


@pytest.mark.parametrize(("text", "signs"), [("ab", 2), ("  ab  ", 2), ("x" * 11, 11)])
def test_a_text_too_short_or_too_long_is_refused_with_its_length_and_the_bounds(text: str, signs: int):
    error = refusal("reason", text)
    assert (error.code, error.message, error.accepted) == ("length", f"{signs} signes", "un texte de 3 à 10 signes")


@pytest.mark.parametrize("text", ["abc", "x" * 10, "😀😀😀", "a\nb\tc", "a\r\nb", "<b>", "=1+1"])
def test_a_text_within_its_bounds_is_kept_as_it_is(text: str):
    assert read("reason", text) == text


@pytest.mark.parametrize("sign", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\ud800", "\udfff"])
def test_a_control_character_is_refused_with_its_code_and_place(sign: str):
    error = refusal("reason", f"ab{sign}cd")
    assert error.code == "encoding"
    assert f"U+{ord(sign):04X} en position 3" in error.message


def test_the_place_of_a_control_character_is_that_in_what_was_given():
    assert "position 5" in refusal("reason", "  ab\0c").message


def test_a_text_of_signs_that_nobody_sees_is_refused():
    refusal("reason", "\u200b" * 5)


# Choices, booleans


@pytest.mark.parametrize("value", ["Done", "done ", "other", True, 1])
def test_a_choice_that_is_not_one_is_refused_with_the_choices(value: Any):
    error = refusal("outcome", value)
    assert (error.code, error.accepted) == ("choice", "done, refused")


@pytest.mark.parametrize(("value", "kept"), [("oui", True), ("NON", False), (True, True), ("0", False), (1, True)])
def test_a_yes_or_no_is_read(value: Any, kept: bool):
    assert read("forced", value) is kept


@pytest.mark.parametrize("value", ["peut-être", "2", 2, "on", "o"])
def test_what_is_neither_yes_nor_no_is_refused(value: Any):
    assert refusal("forced", value).code == "boolean"


# Whole numbers


@pytest.mark.parametrize(("value", "kept"), [("1", 1), (500, 500), ("+7", 7), ("007", 7)])
def test_a_whole_number_within_its_bounds_is_read(value: Any, kept: int):
    assert read("power", value) == kept


@pytest.mark.parametrize("value", [0, "501", -1])
def test_a_number_out_of_bounds_is_refused_with_the_bounds(value: Any):
    error = refusal("power", value)
    assert (error.code, error.accepted) == ("bounds", "de 1 à 500")


@pytest.mark.parametrize("value", ["1.0", "1e3", "un", "0x10", "½", True])
def test_what_is_no_whole_number_is_refused(value: Any):
    assert refusal("power", value).code == "integer"


@pytest.mark.parametrize("value", ["1_0", "１２", "٣"])
def test_a_number_in_a_notation_that_no_form_writes_is_refused(value: str):
    assert refusal("power", value).code == "integer"


@pytest.mark.parametrize("name", ["to_unit", "to_user", "seen"])
@pytest.mark.parametrize("value", ["9" * 19, "9" * 4000, 2**63, -(2**63) - 1, -1])
def test_an_identifier_that_no_database_holds_is_refused(name: str, value: Any):
    refusal(name, value)


# Instants and dates


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("2026-11-24T18:00:00+01:00", "2026-11-24T17:00:00+00:00"),
        ("2026-11-24T18:00:00Z", "2026-11-24T18:00:00+00:00"),
        ("2026-11-24 18:00+00:00", "2026-11-24T18:00:00+00:00"),
        (datetime(2026, 11, 24, 18, tzinfo=timezone(timedelta(hours=4))), "2026-11-24T14:00:00+00:00"),
        ("2026-11-24T18:00:00.000001Z", "2026-11-24T18:00:00.000001+00:00"),
    ],
)
def test_an_instant_is_kept_in_utc(value: Any, kept: str):
    assert read("wanted_on", value) == kept


@pytest.mark.parametrize("value", ["2026-11-24T18:00:00", "2026-11-24", datetime(2026, 11, 24), "20261124"])
def test_an_instant_without_a_zone_is_refused_with_an_example(value: Any):
    error = refusal("wanted_on", value)
    assert (error.code, error.accepted.split()[-1]) == ("zone", "2026-11-24T18:00:00+01:00")


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "10000-01-01T00:00Z",
        "2026-02-30T00:00Z",
        "demain",
        "0",
    ],
)
def test_an_instant_outside_the_calendar_is_refused(value: str):
    assert refusal("wanted_on", value).code in ("instant", "zone")


@pytest.mark.parametrize("value", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_an_instant_at_either_end_of_the_calendar_is_refused_because_nothing_can_be_reckoned_from_it(value: datetime):
    refusal("wanted_on", value)


@pytest.mark.parametrize(("value", "kept"), [("2026-11-24", "2026-11-24"), ("2028-02-29", "2028-02-29")])
def test_a_date_is_kept(value: str, kept: str):
    assert read("day", value) == kept


@pytest.mark.parametrize(
    "value", ["24/11/2026", "2026-02-29", "2026-11-24T00:00", "0000-01-01", "hier", datetime(2026, 1, 1)]
)
def test_what_is_no_date_is_refused(value: Any):
    assert refusal("day", value).code == "date"


# Codes


@pytest.mark.parametrize("name", ["mark", "commune", "topic"])
def test_a_code_keeps_its_zeros_and_is_refused_over_64_signs(name: str):
    assert read(name, "01004") == "01004"
    assert read(name, "x" * 64) == "x" * 64
    assert refusal(name, "x" * 65).code == "length"
    assert refusal(name, 1004).code == "type"
