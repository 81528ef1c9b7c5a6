"""Working time: the calendar as a value, the two clock changes, the edges, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from states import explanation
from states.calendar import calendar
from states.errors import BadInput

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")
OFFICE = {"timezone": "Europe/Paris", "week": {day: [["09:00", "12:00"], ["14:00", "18:00"]] for day in WEEKDAYS}}
ALWAYS = {"timezone": "Europe/Paris", "week": {day: [["00:00", "24:00"]] for day in (*WEEKDAYS, "sat", "sun")}}
HOUR, MICRO = timedelta(hours=1), timedelta(microseconds=1)


def at(text):
    return datetime.fromisoformat(text)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- edges ----------------------------------------------------------------------------------------------------------


def test_work_used_up_exactly_at_closing_is_due_at_closing_and_a_microsecond_more_is_due_after_the_next_opening():
    hours, start = calendar(OFFICE), at("2026-11-27T17:00:00+01:00")
    assert hours.add(start, HOUR) == at("2026-11-27T18:00:00+01:00")
    assert hours.add(start, HOUR + MICRO) == at("2026-11-30T09:00:00+01:00") + MICRO


def test_a_service_is_open_from_its_opening_and_no_more_at_its_closing():
    hours = calendar(OFFICE)
    assert [hours.is_open(at(f"2026-11-24T{hour}:00+01:00")) for hour in ("08:59", "09:00", "11:59", "12:00", "14:00")] == [
        False, True, True, False, True,
    ]  # fmt: skip


def test_no_length_at_all_is_due_at_the_next_opening_and_after_a_pause():
    hours, start = calendar(OFFICE), at("2026-11-28T10:00:00+01:00")
    monday = at("2026-11-30T09:00:00+01:00")
    assert hours.add(start, timedelta(0)) == monday
    assert hours.due(start, timedelta(0), [(monday, monday + HOUR)]) == monday + HOUR
    assert hours.subtract(start, timedelta(0)) == at("2026-11-27T18:00:00+01:00")


def test_pauses_may_overlap_come_in_any_order_and_lie_before_the_start_or_after_the_due_date():
    hours, start = calendar(OFFICE), at("2026-11-24T09:00:00+01:00")
    pauses = [
        (at("2026-11-24T10:30:00+01:00"), at("2026-11-24T11:30:00+01:00")),
        (at("2026-11-24T10:00:00+01:00"), at("2026-11-24T11:00:00+01:00")),
        (at("2026-11-20T10:00:00+01:00"), at("2026-11-24T09:15:00+01:00")),
        (at("2026-11-26T10:00:00+01:00"), at("2026-11-27T11:00:00+01:00")),
    ]
    due = hours.due(start, 3 * HOUR, pauses)
    assert due == at("2026-11-24T15:45:00+01:00")
    assert hours.between(start, due, pauses) == 3 * HOUR


def test_a_pause_that_begins_at_the_very_due_instant_moves_nothing():
    hours, start = calendar(OFFICE), at("2026-11-24T09:00:00+01:00")
    due = at("2026-11-24T11:00:00+01:00")
    assert hours.due(start, 2 * HOUR, [(due, due + HOUR)]) == due


def test_a_year_has_no_seam():
    hours = calendar(ALWAYS)
    start = at("2026-12-31T12:00:00+01:00")
    assert hours.add(start, 48 * HOUR) == start + 48 * HOUR
    assert hours.subtract(start + 48 * HOUR, 48 * HOUR) == start
    assert hours.between(start, start + 5000 * HOUR) == 5000 * HOUR


def test_the_parts_of_a_year_add_up_to_the_whole():
    hours = calendar(OFFICE)
    begins, ends = at("2026-01-01T00:00:00+01:00"), at("2029-01-01T00:00:00+01:00")
    middle = at("2027-07-14T15:13:17.123457+02:00")
    assert hours.between(begins, middle) + hours.between(middle, ends) == hours.between(begins, ends)


# --- the clock changes ------------------------------------------------------------------------------------------------


def test_a_day_without_its_third_hour_has_23_hours_and_one_with_two_of_them_25():
    hours = calendar(ALWAYS)
    for day, length in (("2027-03-28", 23), ("2027-10-31", 25), ("2027-11-01", 24)):
        begins = hours.reached(date.fromisoformat(day), 0)
        assert hours.between(begins, hours.reached(date.fromisoformat(day), 24 * 3600)) == length * HOUR


def test_a_pause_that_begins_in_the_first_of_two_equal_hours_is_an_hour_longer_than_one_that_begins_in_the_second():
    hours, start = calendar(ALWAYS), at("2027-10-31T00:00:00+02:00")
    ends = at("2027-10-31T03:00:00+01:00")
    first = hours.due(start, 10 * HOUR, [(at("2027-10-31T02:30:00+02:00"), ends)])
    second = hours.due(start, 10 * HOUR, [(at("2027-10-31T02:30:00+01:00"), ends)])
    assert (first, second) == (at("2027-10-31T10:30:00+01:00"), at("2027-10-31T09:30:00+01:00"))


def test_an_opening_in_the_hour_that_comes_twice_is_the_first_and_a_closing_too():
    hours = calendar({"timezone": "Europe/Paris", "week": {"sun": [["02:15", "02:45"], ["02:50", "04:00"]]}})
    periods = hours.open_periods(at("2027-10-31T00:00:00+02:00"))
    assert [next(periods) for _ in range(2)] == [
        (utc("2027-10-31T00:15:00"), utc("2027-10-31T00:45:00")),
        (utc("2027-10-31T00:50:00"), utc("2027-10-31T03:00:00")),
    ]


def test_an_opening_in_the_skipped_hour_is_the_change_and_hours_all_in_it_are_lost():
    sunday = {"timezone": "Europe/Paris", "week": {"sun": [["02:15", "02:45"], ["02:50", "04:00"]]}}
    first = next(calendar(sunday).open_periods(at("2027-03-28T00:00:00+01:00")))
    assert first == (utc("2027-03-28T01:00:00"), utc("2027-03-28T02:00:00"))


def test_a_local_time_of_the_hour_that_comes_twice_is_the_first_unless_the_second_is_asked_for():
    hours, wall = calendar(ALWAYS), datetime(2027, 10, 31, 2, 30)
    assert hours.resolve(wall) == utc("2027-10-31T00:30:00")
    assert hours.resolve(wall, second=True) == utc("2027-10-31T01:30:00")


@pytest.mark.parametrize(
    ("zone", "wall"),
    [
        ("Europe/Paris", "2027-03-28T02:30"),
        ("Australia/Lord_Howe", "2027-10-03T02:15"),
        ("Pacific/Apia", "2011-12-30T12:00"),
    ],
)
def test_a_local_time_that_the_clocks_skip_is_refused(zone, wall):
    with pytest.raises(BadInput) as refused:
        calendar({**ALWAYS, "timezone": zone}).resolve(datetime.fromisoformat(wall))
    assert refused.value.code == "skipped_hour"
    assert zone in str(refused.value)


def test_working_days_keep_the_time_of_day_across_both_changes():
    hours = calendar(OFFICE)
    assert hours.add_days(at("2027-03-26T10:30:00+01:00"), 1) == at("2027-03-29T10:30:00+02:00")
    assert hours.add_days(at("2027-10-29T10:30:00+02:00"), 1) == at("2027-11-01T10:30:00+01:00")


# --- nights, closures, openings, days ---------------------------------------------------------------------------------


def test_a_night_runs_into_the_next_day_and_a_holiday_cuts_it_at_midnight():
    night = {"timezone": "Europe/Paris", "week": {"fri": [["22:00", "30:00"]]}}
    friday = at("2026-11-27T00:00:00+01:00")
    assert next(calendar(night).open_periods(friday)) == (utc("2026-11-27T21:00:00"), utc("2026-11-28T05:00:00"))
    closed = calendar({**night, "holidays": ["2026-11-28"]})
    assert next(closed.open_periods(friday)) == (utc("2026-11-27T21:00:00"), utc("2026-11-27T23:00:00"))


def test_a_day_that_a_night_runs_into_is_not_told_as_a_day_that_does_not_count():
    hours = calendar({"timezone": "Europe/Paris", "week": {"fri": [["22:00", "30:00"]], "mon": [["09:00", "12:00"]]}})
    start = at("2026-11-27T20:00:00+01:00")
    said = explanation.sentences(list(explanation.of_working_time(hours, start, hours.add(start, 9 * HOUR))))
    assert said[1:4] == [
        "Compté : du vendredi 27 novembre 2026 à 22 h 00 au samedi 28 novembre 2026 à 6 h 00, soit 8 h.",
        "Le dimanche 29 novembre 2026 ne compte pas : fin de semaine.",
        "Compté : lundi 30 novembre 2026, de 9 h 00 à 10 h 00, soit 1 h.",
    ]


def test_a_long_derivation_tells_forty_days_and_counts_the_others():
    hours, start = calendar(OFFICE), at("2026-01-05T09:00:00+01:00")
    steps = list(explanation.of_working_time(hours, start, hours.add(start, 700 * HOUR)))  # 138 days
    assert {step.code: step.facts for step in steps}["total"]["length"] == 700 * HOUR
    assert explanation.sentences(steps)[-3:] == [
        "Et 98 autres jours, comptés de la même façon.",
        "En tout : 700 h d'ouverture.",
        "Échéance : vendredi 22 mai 2026 à 18 h 00, à la fermeture.",
    ]


def test_a_closure_wins_over_an_exceptional_opening_which_wins_over_the_week():
    day = {"shifts": {"2026-11-24": [["08:00", "10:00"]]}}
    opened = calendar({**OFFICE, **day})
    assert opened.is_open(at("2026-11-24T08:30:00+01:00"))
    assert not opened.is_open(at("2026-11-24T15:00:00+01:00"))
    closed = calendar({**OFFICE, **day, "breaks": {"2026-11-24": [["08:15", "09:00"]]}})
    assert not closed.is_open(at("2026-11-24T08:30:00+01:00"))
    assert not calendar({**OFFICE, **day, "holidays": ["2026-11-24"]}).is_open(at("2026-11-24T08:30:00+01:00"))


def test_a_closure_that_runs_into_the_next_day_does_so_also_from_a_holiday():
    night = {"timezone": "Europe/Paris", "week": {"sat": [["08:00", "12:00"]], "sun": [["00:00", "12:00"]]}}
    closed = calendar({**night, "holidays": ["2026-11-28"], "breaks": {"2026-11-28": [["20:00", "26:30"]]}})
    assert closed.next_open(at("2026-11-28T09:00:00+01:00")) == at("2026-11-29T02:30:00+01:00")


def test_the_three_kinds_of_working_days_differ_on_saturdays_and_on_days_the_service_does_not_open():
    hours = calendar({"timezone": "Europe/Paris", "week": {"mon": [["09:00", "12:00"]], "thu": [["09:00", "12:00"]]}})
    start = at("2026-11-26T10:00:00+01:00")  # a Thursday
    found = {kind: hours.add_days(start, 2, kind).date() for kind in ("open", "working", "opening")}
    assert found == {"open": date(2026, 12, 3), "working": date(2026, 11, 30), "opening": date(2026, 11, 28)}


def test_an_amount_of_no_days_is_the_start_itself_on_any_day():
    sunday = at("2026-11-29T23:10:00+01:00")
    assert calendar(OFFICE).add_days(sunday, 0) == sunday


def test_a_calendar_that_keeps_few_years_answers_for_all_of_them():
    hours = calendar(OFFICE)
    for year in (*range(2000, 2200), 2000):
        start = datetime(year, 6, 15, 12, tzinfo=UTC)
        assert hours.between(start, hours.add(start, 7 * HOUR)) == 7 * HOUR
    assert len(hours._years) <= 32


# --- bad input ----------------------------------------------------------------------------------------------------------

BAD = {
    "no_hours": {"timezone": "Europe/Paris", "week": {}},
    "overlap": {**OFFICE, "week": {"mon": [["09:00", "12:00"], ["11:59", "14:00"]]}},
    "overlap the next morning": {**OFFICE, "week": {"sun": [["22:00", "30:00"]], "mon": [["05:00", "12:00"]]}},
    "order": {**OFFICE, "week": {"mon": [["17:00", "09:00"]]}},
    "order nothing": {**OFFICE, "week": {"mon": [["09:00", "09:00"]]}},
    "start": {**OFFICE, "week": {"mon": [["24:00", "26:00"]]}},
    "length": {**OFFICE, "week": {"mon": [["08:00", "33:00"]]}},
    "time": {**OFFICE, "week": {"mon": [["9h", "12h"]]}},
    "timezone": {**OFFICE, "timezone": "Europe/Lutece"},
    "timezone missing": {"week": OFFICE["week"]},
    "timezone outside": {**OFFICE, "timezone": "../../etc/passwd"},
    "weekday": {**OFFICE, "week": {"lundi": [["09:00", "12:00"]]}},
    "year": {**OFFICE, "holidays": ["1999-12-31"]},
    "date": {**OFFICE, "holidays": ["2026-02-30"]},
    "date yearly": {**OFFICE, "yearly_holidays": ["13-01"]},
    "order range": {**OFFICE, "holiday_ranges": [["2026-08-31", "2026-08-01"]]},
    "type": [OFFICE],
    "type week": {**OFFICE, "week": ["mon"]},
    "type span": {**OFFICE, "week": {"mon": ["09:00-12:00"]}},
}


@pytest.mark.parametrize("name", BAD)
def test_a_calendar_that_makes_no_sense_is_refused_with_its_field_and_what_is_accepted(name):
    with pytest.raises(BadInput) as refused:
        calendar(BAD[name])
    assert refused.value.code == name.split()[0]
    assert refused.value.field.startswith("calendar")
    assert refused.value.accepted


@pytest.mark.parametrize("end", ["24:00", "23:59:59", "33:00"])
def test_an_interval_may_end_at_24_or_on_the_next_day(end):
    assert calendar({**OFFICE, "week": {"mon": [["09:00", end]]}}).week[0][0][0] == 9 * 3600


def test_what_is_asked_of_a_calendar_is_checked_too():
    hours, start = calendar(OFFICE), at("2026-11-24T09:00:00+01:00")
    for code, asked in {
        "negative": lambda: hours.add(start, -HOUR),
        "negative with pauses": lambda: hours.due(start, -HOUR, [(start, start + HOUR)]),
        "negative back": lambda: hours.subtract(start, -HOUR),
        "order": lambda: hours.between(start, start - HOUR),
        "order pause": lambda: hours.due(start, HOUR, [(start + HOUR, start)]),
        "zone": lambda: hours.add(datetime(2026, 11, 24, 9), HOUR),
        "year": lambda: hours.add(datetime(1999, 12, 31, 9, tzinfo=UTC), HOUR),
        "year far": lambda: hours.add(datetime(9999, 12, 31, 23, tzinfo=UTC), HOUR),
        "year first": lambda: hours.is_open(datetime(1, 1, 1, tzinfo=UTC)),
        "year reached": lambda: hours.add(start, timedelta(days=99_999)),
        "year of days": lambda: hours.add_days(start, 99_999),
    }.items():
        with pytest.raises(BadInput) as refused:
            asked()
        assert refused.value.code == code.split()[0], code
