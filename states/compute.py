"""One date computed on its own: a case as data in, the date and why out. The command and the API both answer with this."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypedDict

import orjson

from states import explanation, legal
from states.calendar import FIRST_YEAR, LAST_YEAR, WEEKDAYS, Calendar, Pause, WorkingDays, calendar, day_of, zone_name
from states.errors import BadInput, shown
from states.explanation import Step
from states.legal import Effect, Hold, Table

FORMS = "operation (temps d'ouverture), rule, procedure ou months et days (délais légaux), deposit (silence), kind (instants)"
UNITS = {"seconds": timedelta(seconds=1), "minutes": timedelta(minutes=1), "hours": timedelta(hours=1)}
LONGEST = timedelta(days=366 * (LAST_YEAR - FIRST_YEAR + 1))
MOST_PERIODS, MOST_WORDS = 1000, 500
EUROPEAN_RULE = "ue_1182_71"
SILENCE_RULE = "service_en_ligne"
Steps = Sequence[Step]


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a computation knows besides its case: rules, holidays by zone, time zones, and the holidays that are in doubt."""

    table: Table
    holidays: Callable[[str, bool], Mapping[date, str]]
    zones: Mapping[str, str]
    doubts: Mapping[str, str]


def answer(case: Any, reference: Reference) -> dict[str, Any]:
    """The `result` of a case, in the form of the case, and its `explanation`: steps, and sentences in two languages.

    Raises BadInput on a case that cannot be read.
    """
    if not isinstance(case, Mapping):
        raise BadInput("type", f"« {shown(case)} » n'est pas un cas", field="case", accepted="un objet JSON")
    result, steps = _form(case)(case, reference)
    told = {"steps": explanation.data(steps)}
    return {
        "result": result,
        "explanation": told | {name: explanation.sentences(steps, name) for name in explanation.LANGUAGES},
    }


def _form(case: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Reference], tuple[Any, Steps]]:
    if "operation" in case:
        return _working_time
    if "deposit" in case:
        return _silence
    if "rule" in case:
        return _legal
    if "procedure" in case:
        return _procedure
    if isinstance(case.get("kind"), str) and case["kind"] in INSTANTS:
        return _instants
    if "months" in case or "days" in case:
        return _european
    raise BadInput("form", "ce cas n'est d'aucune forme connue", field="case", accepted=FORMS)


# --- reading ----------------------------------------------------------------------------------------------------------


def _given(case: Mapping[str, Any], name: str, accepted: str) -> Any:
    if case.get(name) is None:
        raise BadInput("missing", "obligatoire et absent", field=name, accepted=accepted)
    return case[name]


def _day(case: Mapping[str, Any], name: str) -> date:
    return day_of(_given(case, name, "AAAA-MM-JJ"), name)


def _count(case: Mapping[str, Any], name: str, default: int | None = None) -> int:
    given = default if case.get(name) is None and default is not None else _given(case, name, "un nombre entier")
    if isinstance(given, bool) or not isinstance(given, int):
        raise BadInput(
            "integer", f"« {shown(given)} » n'est pas un nombre entier", field=name, accepted="0 ou davantage"
        )
    if given < 0:
        raise BadInput("negative", "une durée ne peut pas être négative", field=name, accepted="0 ou davantage")
    return given


def _length(case: Mapping[str, Any], name: str, unit: timedelta) -> timedelta:
    given = _given(case, name, "un nombre")
    if isinstance(given, bool) or not isinstance(given, int | float) or given != given:  # noqa: PLR0124  (NaN is no number)
        raise BadInput("number", f"« {shown(given)} » n'est pas un nombre", field=name, accepted="0 ou davantage")
    if given < 0:
        raise BadInput("negative", "une durée ne peut pas être négative", field=name, accepted="0 ou davantage")
    if given > LONGEST / unit:
        raise BadInput(
            "year", "l'échéance sort du calendrier", field=name, accepted=f"une échéance avant {LAST_YEAR + 1}"
        )
    micros = Fraction(given) * (unit // timedelta(microseconds=1))
    return timedelta(microseconds=round(micros))


def _instant(text: Any, name: str, hours: Calendar, *, second: bool = False) -> datetime:
    """An instant; a local wall time is one on the clocks of the calendar's zone."""
    accepted = "un instant ISO 8601 : 2026-11-24T09:00:00+01:00"
    try:
        if not isinstance(text, str) or "T" not in text.upper().replace(" ", "T"):
            raise ValueError(text)  # noqa: TRY301  (told below, as whatever fromisoformat refuses)
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput("instant", f"« {shown(text)} » n'est pas un instant", field=name, accepted=accepted) from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        accepted = f"de {FIRST_YEAR} à {LAST_YEAR}"
        raise BadInput("year", f"l'année {found.year} est hors du calendrier", field=name, accepted=accepted)
    return hours.resolve(found, second=second, name=name) if found.utcoffset() is None else found.astimezone(UTC)


def _written(instant: datetime, like: Any, hours: Calendar) -> str:
    """An instant as the case writes its own: in UTC with a Z, or with the offset of the calendar's zone."""
    if isinstance(like, str) and like.endswith(("Z", "z")):
        return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return hours.local(instant).isoformat()


def _zone(case: Mapping[str, Any], reference: Reference, name: str = "zone", within: str = "") -> str:
    zone = case.get(name) or "metropole"
    if not isinstance(zone, str) or zone not in reference.zones:
        sentence, accepted = f"« {shown(zone)} » n'est pas une zone", ", ".join(reference.zones)
        raise BadInput("zone", sentence, field=within + name, accepted=accepted)
    return zone


def _flag(case: Mapping[str, Any], name: str, *, default: bool) -> bool:
    given = case.get(name)
    if given is not None and not isinstance(given, bool):
        raise BadInput("boolean", f"« {shown(given)} » n'est ni vrai ni faux", field=name, accepted="true ou false")
    return default if given is None else given


def _words(case: Mapping[str, Any], name: str) -> str | None:
    given = case.get(name)
    return given[:MOST_WORDS] if isinstance(given, str) and given else None


# --- working time -----------------------------------------------------------------------------------------------------


def _working_time(case: Mapping[str, Any], reference: Reference) -> tuple[Any, Steps]:
    operation = case["operation"]
    found = OPERATIONS.get(operation) if isinstance(operation, str) else None
    if found is None:
        sentence = f"« {shown(operation)} » n'est pas une opération"
        raise BadInput("operation", sentence, field="operation", accepted=", ".join(OPERATIONS))
    given = _given(case, "calendar", "un calendrier")
    try:
        raw = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a number that no JSON document of ours holds
        raise BadInput("type", "ce calendrier est illisible", field="calendar", accepted="un objet JSON") from None
    return found(case, _calendar(raw, reference))


@lru_cache(maxsize=64)
def _calendar(raw: bytes, reference: Reference) -> Calendar:
    data = orjson.loads(raw)
    if isinstance(data, dict) and data.get("territory") is not None:
        territory = _zone(data, reference, "territory", "calendar.")
        known = reference.holidays(territory, _flag(data, "good_friday", default=True))
        return calendar({"timezone": reference.zones[territory], **data}, holidays=known)
    return calendar(data)


def _start(case: Mapping[str, Any], hours: Calendar, name: str = "start") -> datetime:
    return _instant(_given(case, name, "un instant"), name, hours, second=case.get("fold") == 1)


def _pauses(case: Mapping[str, Any], hours: Calendar) -> list[Pause]:
    given = case.get("pauses") or []
    if not isinstance(given, list) or not all(isinstance(item, list) and len(item) == 2 for item in given):  # noqa: PLR2004
        raise BadInput("type", "une pause a un début et une fin", field="pauses", accepted="[[début, fin], …]")
    return [
        (_instant(begins, f"pauses[{number}]", hours), _instant(ends, f"pauses[{number}]", hours))
        for number, (begins, ends) in enumerate(given)
    ]


def _add(unit: timedelta) -> Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]:
    def operation(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
        start, pauses = _start(case, hours), _pauses(case, hours)
        due = hours.due(start, _length(case, "amount", unit), pauses)
        return _written(due, case["start"], hours), list(explanation.of_working_time(hours, start, due, pauses))

    return operation


def _subtract(unit: timedelta) -> Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]:
    def operation(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
        start = _start(case, hours)
        found = hours.subtract(start, _length(case, "amount", unit))
        steps = list(explanation.of_working_time(hours, found, start, backward=True))
        return _written(found, case["start"], hours), steps

    return operation


def _between(unit: timedelta) -> Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]:
    def operation(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
        start, end, pauses = _start(case, hours), _start(case, hours, "end"), _pauses(case, hours)
        counted = Fraction(
            hours.between(start, end, pauses) // timedelta(microseconds=1), unit // timedelta(microseconds=1)
        )
        steps = list(explanation.of_working_time(hours, start, end, pauses))[:-1]
        return counted.numerator if counted.denominator == 1 else float(counted), steps

    return operation


def _sla_due(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start, pauses = _start(case, hours), _pauses(case, hours)
    due = hours.due(start, _length(case, "target_minutes", UNITS["minutes"]), pauses)
    return _written(due, case["start"], hours), list(explanation.of_working_time(hours, start, due, pauses))


def _days(sign: int, *, to_the_end: bool = False) -> Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]:
    def operation(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
        start, count = _start(case, hours), sign * _count(case, "amount")
        found: dict[Any, WorkingDays] = {None: "open", "open": "open", "working": "working", "opening": "opening"}
        given = case.get("days")
        if not (given is None or isinstance(given, str)) or given not in found:
            raise BadInput(
                "choice", f"« {shown(given)} » n'est pas un choix", field="days", accepted="open, working, opening"
            )
        due = hours.add_days(start, count, found[given])
        if to_the_end:
            due = hours.end_of_day(due)
        steps = list(explanation.of_working_days(hours, start, due, count, found[given]))
        return _written(due, case["start"], hours), steps

    return operation


def _is_open(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start = _start(case, hours)
    local = hours.local(start)
    if hours.is_open(start):
        return True, [Step("open", {"at": local})]
    closed = hours.closed(local.date())
    why = {"reason": "hours", "name": ""} if closed is None else closed._asdict()
    return False, [Step("shut", {"at": local, "day": local.date(), **why})]


def _is_holiday(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    given = _given(case, "start", "AAAA-MM-JJ, ou un instant")
    day = (
        day_of(given, "start")
        if isinstance(given, str) and "T" not in given
        else hours.local(_start(case, hours)).date()
    )
    closed = hours.closed(day)
    if hours.is_holiday(day) and closed is not None:
        return True, [Step("day_off", {"day": day, **closed._asdict()})]
    return False, [Step("day_on", {"day": day})]


def _opening(
    found: Callable[[Calendar, datetime], datetime],
) -> Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]:
    def operation(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
        start = _start(case, hours)
        at = found(hours, start)
        first, last = sorted((hours.local(start).date(), hours.local(at).date()))
        steps = [Step("start", {"at": hours.local(start), "zone": hours.zone})]
        for number in range(min((last - first).days + 1, explanation.MOST)):
            day = first + timedelta(days=number)
            closed = hours.closed(day)
            if closed is not None:
                steps.append(Step("skipped", {"day": day, **closed._asdict()}))
        return _written(at, case["start"], hours), [*steps, Step("found", {"at": hours.local(at)})]

    return operation


def _periods(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start, count = _start(case, hours), _count(case, "amount", 1)
    if count > MOST_PERIODS:
        raise BadInput("bounds", f"{count} est hors bornes", field="amount", accepted=f"{MOST_PERIODS} au plus")
    periods = [period for _, period in zip(range(count), hours.open_periods(start), strict=False)]
    steps = [Step("period", {"from": hours.local(begins), "to": hours.local(ends)}) for begins, ends in periods]
    return [[_written(at, case["start"], hours) for at in period] for period in periods], steps


def _resolve(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start = hours.local(_start(case, hours))
    return start.isoformat(), [Step("wall", {"wall": _words(case, "start"), "zone": hours.zone, "at": start})]


OPERATIONS: Mapping[str, Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]] = {
    **{f"add_business_{name}": _add(unit) for name, unit in UNITS.items()},
    **{f"subtract_business_{name}": _subtract(unit) for name, unit in UNITS.items()},
    **{f"business_{name}_between": _between(unit) for name, unit in UNITS.items()},
    "sla_due": _sla_due,
    "add_business_days": _days(1),
    "subtract_business_days": _days(-1),
    "add_business_days_end_of_day": _days(1, to_the_end=True),
    "subtract_business_days_end_of_day": _days(-1, to_the_end=True),
    "is_open": _is_open,
    "is_holiday": _is_holiday,
    "next_open": _opening(Calendar.next_open),
    "previous_open_end": _opening(Calendar.previous_open_end),
    "open_periods_after": _periods,
    "resolve_local_wall_time": _resolve,
}


# --- legal limits -----------------------------------------------------------------------------------------------------


def _law(case: Mapping[str, Any], reference: Reference) -> tuple[str, Mapping[date, str]]:
    zone = _zone(case, reference)
    return zone, reference.holidays(zone, _flag(case, "good_friday", default=True))


def _doubts(case: Mapping[str, Any], steps: Steps, reference: Reference) -> Iterator[Step]:
    """What is said of a holiday that is one in some communes only, unless the case says that it knows."""
    if case.get("good_friday") is None:
        names = {step.facts.get("name") for step in steps}
        for name in reference.doubts:
            if name in names:
                yield Step("uncertain", {"confidence": "uncertain", "doubt": reference.doubts[name]})


class _Added(TypedDict):
    extension_months: int
    extension_days: int
    not_counted: int


def _added(case: Mapping[str, Any]) -> _Added:
    return {
        "extension_months": _count(case, "extension_months", 0),
        "extension_days": _count(case, "extension_days", 0),
        "not_counted": _count(case, "days_not_counted", 0),
    }


def _basis(case: Mapping[str, Any], *names: str) -> list[Step]:
    return [Step("basis", {"basis": words}) for name in names if (words := _words(case, name))]


def _legal(case: Mapping[str, Any], reference: Reference) -> tuple[Any, Steps]:
    """A length under the name of a reckoning."""
    name, known = case["rule"], reference.table.reckonings
    if not isinstance(name, str) or name not in known:
        raise BadInput("rule", f"« {shown(name)} » n'est pas une règle", field="rule", accepted=", ".join(known))
    _, holidays = _law(case, reference)
    reckoning = known[name]
    found = legal.due(reckoning.of(_count(case, "duration")), _day(case, "start"), holidays=holidays, **_added(case))
    told = Step("reckoning", {"title": reckoning.title, "basis": reckoning.basis})
    steps = [*_basis(case, "legal_basis"), told, *found.steps]
    return found.due.isoformat(), [*steps, *_doubts(case, steps, reference)]


def _european(case: Mapping[str, Any], reference: Reference) -> tuple[Any, Steps]:
    """Months and days by Regulation 1182/71."""
    _, holidays = _law(case, reference)
    reckoning = reference.table.reckonings[EUROPEAN_RULE]
    limit = reckoning.limit(months=_count(case, "months", 0), days=_count(case, "days", 0))
    found = legal.due(limit, _day(case, "start"), holidays=holidays, **_added(case))
    told = Step("reckoning", {"title": reckoning.title, "basis": reckoning.basis})
    steps = [*_basis(case, "basis"), told, *found.steps, Step("silence", {"effect": "none"})]
    return found.due.isoformat(), [*steps, *_doubts(case, steps, reference)]


def _silence(case: Mapping[str, Any], reference: Reference) -> tuple[Any, Steps]:
    """A decision born of silence, by the rule of the State's online service."""
    reckoning = reference.table.reckonings[SILENCE_RULE]
    period = case.get("period")
    read = re.fullmatch(r"(\d{1,5}) (day|week|month)s?", period, re.ASCII) if isinstance(period, str) else None
    if read is None:
        accepted = "un nombre et days, weeks ou months : 2 months"
        raise BadInput("period", f"« {shown(period)} » n'est pas une durée", field="period", accepted=accepted)
    effects: dict[Any, Effect] = {"continue": "pause", "reset": "restart"}
    resume = case.get("on_resume")
    if not isinstance(resume, str) or resume not in effects:
        raise BadInput(
            "choice", f"« {shown(resume)} » n'est pas un choix", field="on_resume", accepted="continue, reset"
        )
    count, holds = int(read[1]), {"incorrect": effects[resume], "incomplete": "restart"}
    months, days = (count, 0) if read[2] == "month" else (0, count * (7 if read[2] == "week" else 1))
    limit = reckoning.limit(months=months, days=days, holds=holds)
    found = legal.due(limit, _day(case, "deposit"), holidays={}, holds=list(_holds(case, holds)), today=_today(case))
    told = Step("reckoning", {"title": reckoning.title, "basis": reckoning.basis})
    return found.due.isoformat(), [told, *found.steps]


def _today(case: Mapping[str, Any]) -> date | None:
    return None if case.get("today") is None else _day(case, "today")


def _holds(case: Mapping[str, Any], motives: Mapping[str, Any]) -> Iterator[Hold]:
    given = case.get("corrections") or []
    if not isinstance(given, list):
        raise BadInput("type", f"« {shown(given)} » n'est pas une liste", field="corrections", accepted="une liste")
    for number, item in enumerate(given):
        name = f"corrections[{number}]"
        if not isinstance(item, Mapping):
            raise BadInput(
                "type", f"« {shown(item)} » n'a pas de champs", field=name, accepted="opened, resolved, reason"
            )
        reason, resolved = item.get("reason"), item.get("resolved")
        if not isinstance(reason, str) or reason not in motives:
            accepted = ", ".join(motives) or "aucun motif ne suspend ce délai"
            raise BadInput(
                "choice", f"« {shown(reason)} » n'est pas un motif", field=f"{name}.reason", accepted=accepted
            )
        opened = day_of(item.get("opened"), f"{name}.opened")
        yield Hold(opened, None if resolved is None else day_of(resolved, f"{name}.resolved"), reason)


def _procedure(case: Mapping[str, Any], reference: Reference) -> tuple[Any, Steps]:
    """The limit that the table of rules sets, chosen by date, applicant, zone and attributes."""
    zone, holidays = _law(case, reference)
    start = _day(case, "start")
    names, attributes = case.get("extensions") or [], case.get("attributes") or {}
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput("type", "une liste de noms est attendue", field="extensions", accepted="une liste de noms")
    if not isinstance(attributes, Mapping):
        raise BadInput("type", "des champs sont attendus", field="attributes", accepted="un objet : nom, valeur")
    table = reference.table
    on = start if case.get("on") is None else _day(case, "on")
    rule = table.choose(
        str(case["procedure"]), str(_given(case, "clock", "un délai de la procédure")), on=on, zone=zone,
        applicant=_words(case, "applicant"), attributes={str(key): str(value) for key, value in attributes.items()},
    )  # fmt: skip
    months, days, extended = table.extended(rule, names)
    found = legal.due(
        table.limit(rule), start, holidays=holidays, extension_months=months, extension_days=days,
        not_counted=_count(case, "days_not_counted", 0), holds=list(_holds(case, rule.holds)), today=_today(case),
    )  # fmt: skip
    steps = legal.explained(table, rule, found, extended)
    return found.due.isoformat(), [*steps, *_doubts(case, steps, reference)]


# --- instants ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _always(zone: str) -> Calendar:
    return calendar({"timezone": zone, "week": {day: [["00:00", "24:00"]] for day in WEEKDAYS}}, name="zone")


def _instants(case: Mapping[str, Any], _: Reference) -> tuple[Any, Steps]:
    hours = _always(zone_name(_given(case, "zone", "un nom IANA"), "zone"))
    return INSTANTS[case["kind"]](case, hours)


def _elapsed(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start, length = _start(case, hours), _length(case, "hours", UNITS["hours"])
    at = hours.local(start + length)
    told = Step("start", {"at": hours.local(start), "zone": hours.zone})
    return at.isoformat(), [told, Step("elapsed", {"length": length, "at": at})]


def _next_day(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    start = _start(case, hours)
    at = hours.local(hours.add_days(start, 1))
    told = Step("start", {"at": hours.local(start), "zone": hours.zone})
    return at.isoformat(), [told, Step("same_wall", {"at": at})]


def _end_of_day(case: Mapping[str, Any], hours: Calendar) -> tuple[Any, Steps]:
    day = _day(case, "date")
    at = hours.reached(day, 24 * 3600)
    return at.isoformat().replace("+00:00", "Z"), [
        Step("day_end", {"day": day, "zone": hours.zone, "at": hours.local(at)})
    ]


INSTANTS: Mapping[Any, Callable[[Mapping[str, Any], Calendar], tuple[Any, Steps]]] = {
    "elapsed_hours": _elapsed,
    "same_wall_clock_next_day": _next_day,
    "end_of_day": _end_of_day,
}
