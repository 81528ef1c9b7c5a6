"""The calculator of legal limits: for anybody, without signing in; what was asked stands in the address of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session, sessionmaker
from starlette.datastructures import QueryParams

from config.holidays import ZONES
from states.errors import BadInput, Refused, shown
from states.legal import Rule, Table
from web.visit import Anybody
from workflow import attempts, business_time, words
from workflow.law import answered, law

router = APIRouter(include_in_schema=False)
ASKED, PER = 300, timedelta(minutes=5)
MOST_HOLDS = 9
BASES = ("rule", "extended", "reckoning")
"""The steps that name a text of law."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a clock of the table may be told besides its start: each set is empty when it changes nothing."""

    applicants: Sequence[str]
    attributes: Mapping[str, Sequence[str]]
    extensions: Sequence[str]
    motives: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says of a date: why, sentence by sentence, what is not sure, the texts, and the case to ask again."""

    due: str
    why: Sequence[str]
    doubts: Sequence[str]
    bases: Sequence[str]
    case: str


@router.get("/calculateur")
def calculator(visit: Anybody) -> HTMLResponse:
    """A limit of a procedure, or so many days or months; with an answer, or what is wrong beside its field."""
    given, table = visit.request.query_params, law().table
    rules = _rules(table, given.get("clock", ""))
    choices = _choices(rules)
    answer, problems = None, {}
    if given.get("start") is not None:
        limit(visit.request)
        try:
            case = _counted(given) if "rule" in given else _asked(given, choices, visit.make)
            answer = _answer(case, visit.language)
        except BadInput as error:
            problems = {_beside(error, given, choices): error}
    return visit.page(
        "calculator.html", 422 if problems else 200, given=given, clocks=_clocks(table), choices=choices, answer=answer,
        problems=problems, zones={code: zone.label for code, zone in ZONES.items()}, extensions=table.extensions,
        reckonings={name: one for name, one in table.reckonings.items() if one.unit is not None}, attributes=words.ATTRIBUTES,
        holds=_shown_holds(given) if choices.motives else (), counting="rule" in given,
    )  # fmt: skip


def limit(request: Request) -> None:
    """Raise Refused when dates were asked for too often from one place."""
    host = request.client.host if request.client is not None else ""
    with request.app.state.make.begin() as session:
        fine = attempts.allowed(session, "compute", host, most=ASKED, per=PER)
    if not fine:
        raise Refused("often", "trop de calculs en peu de temps", accepted=f"{ASKED} en cinq minutes")


# --- what may be asked ------------------------------------------------------------------------------------------------


def _rules(table: Table, clock: str) -> list[Rule]:
    procedure, _, name = clock.partition("/")
    return [rule for rule in table.rules if (rule.procedure, rule.clock) == (procedure, name)]


def _clocks(table: Table) -> dict[str, dict[str, str]]:
    """The clocks of the table, by procedure: « procédure/délai » and its title."""
    found: dict[str, dict[str, str]] = {}
    for rule in table.rules:
        clocks = found.setdefault(rule.procedure, {})
        name = f"{rule.procedure}/{rule.clock}"
        clocks[name] = rule.title if name not in clocks else _common(clocks[name], rule.title)
    return found


def _common(one: str, other: str) -> str:
    """What two titles of one clock begin with: the rest is the case that each is for."""
    same = 0
    for first, second in zip(one.split(), other.split(), strict=False):
        if first.rstrip(",") != second.rstrip(","):
            break
        same += 1
    return " ".join(one.split()[:same]).rstrip(",") or one


def _choices(rules: Sequence[Rule]) -> Choices:
    def every(names: Sequence[Any]) -> list[str]:
        return list(dict.fromkeys(name for one in names for name in one))

    attributes = {name: [] for rule in rules for name in rule.attributes}  # type: dict[str, list[str]]
    for rule in rules:
        for name, value in rule.attributes.items():
            attributes[name] = list(dict.fromkeys([*attributes[name], value]))
    return Choices(
        every([rule.applicants for rule in rules]), attributes, every([rule.extensions for rule in rules]),
        every([rule.holds for rule in rules]),
    )  # fmt: skip


# --- what was asked ---------------------------------------------------------------------------------------------------


def _counted(given: QueryParams) -> dict[str, Any]:
    """So many days or months."""
    count = given.get("duration", "").strip()
    if not re.fullmatch(r"[0-9]{1,5}", count):
        sentence = f"« {shown(count)} » n'est pas un nombre" if count else "ce champ est obligatoire"
        raise BadInput("integer" if count else "missing", sentence, field="duration", accepted="de 0 à 99999")
    return {"rule": given["rule"], "start": _start(given), "duration": int(count), "zone": given.get("zone") or "metropole"}  # fmt: skip


def _asked(given: QueryParams, choices: Choices, make: sessionmaker[Session]) -> dict[str, Any]:
    """The limit of a procedure. What the clock has no choice of is not asked: it was for the clock chosen before."""
    procedure, _, clock = given.get("clock", "").partition("/")
    if not clock:
        raise BadInput("missing", "ce champ est obligatoire", field="clock")
    case: dict[str, Any] = {
        "procedure": procedure, "clock": clock, "start": _start(given), "zone": given.get("zone") or "metropole",
    }  # fmt: skip
    if choices.applicants and given.get("applicant"):
        case["applicant"] = given["applicant"]
    if attributes := {name: given[name] for name in choices.attributes if given.get(name)}:
        case["attributes"] = attributes
    if extensions := [name for name in given.getlist("extension") if name in choices.extensions]:
        case["extensions"] = extensions
    if holds := [hold for _, hold in _holds(given, choices)]:
        case["corrections"] = holds
        if any("resolved" not in hold for hold in holds):
            case["today"] = _today(make, given)
    return case


def _start(given: QueryParams) -> str:
    found = given.get("start", "").strip()
    if not found:
        raise BadInput("missing", "ce champ est obligatoire", field="start")
    return found


def _holds(given: QueryParams, choices: Choices) -> list[tuple[int, dict[str, str]]]:
    """The suspensions, with the number of the row that each was typed in."""
    found = []
    for number in range(1, MOST_HOLDS + 1):
        opened, resolved = given.get(f"opened{number}", "").strip(), given.get(f"resolved{number}", "").strip()
        if choices.motives and (opened or resolved):
            hold = {"opened": opened, "reason": given.get(f"reason{number}") or choices.motives[0]}
            found.append((number, hold | ({"resolved": resolved} if resolved else {})))
    return found


def _shown_holds(given: QueryParams) -> list[int]:
    """The rows of suspensions: those that were typed in, and one more."""
    used = [number for number in range(1, MOST_HOLDS + 1) if given.get(f"opened{number}") or given.get(f"resolved{number}")]  # fmt: skip
    return list(range(1, min(max(used, default=0) + 1, MOST_HOLDS) + 1))


def _today(make: sessionmaker[Session], given: QueryParams) -> str:
    """The day that it is in the zone of the service: until then lasts a suspension that is open."""
    zone = ZONES.get(given.get("zone", ""), ZONES["metropole"]).timezone
    with make() as session:
        return business_time.now(session).astimezone(ZoneInfo(zone)).date().isoformat()


def _beside(error: BadInput, given: QueryParams, choices: Choices) -> str:
    """The field of the page that a refusal stands beside."""
    field = error.field or ""
    if error.code == "no_rule" and choices.applicants:
        return "applicant"
    if error.code in ("ambiguous", "year"):
        return next(iter(choices.attributes), "start") if error.code == "ambiguous" else "start"
    hold = re.fullmatch(r"corrections\[(\d+)\](?:\.(\w+))?", field)
    if hold is not None:  # the core numbers them in the order of their dates
        rows = sorted(_holds(given, choices), key=lambda row: row[1]["opened"])
        part = hold[2] if hold[2] in ("opened", "resolved", "reason") else "opened"
        return f"{part}{rows[int(hold[1])][0]}"
    return {"procedure": "clock"}.get(field, field)


# --- what is answered -------------------------------------------------------------------------------------------------


def _answer(case: Mapping[str, Any], language: str) -> Answer:
    said = answered(case)
    told = said["explanation"]
    lines = list(zip(told["steps"], told[language], strict=True))
    return Answer(
        said["result"],
        [line for step, line in lines if step["step"] != "uncertain"],
        [line for step, line in lines if step["step"] == "uncertain"],
        list(dict.fromkeys(step["basis"] for step, _ in lines if step["step"] in BASES)),
        orjson.dumps(case).decode(),
    )
