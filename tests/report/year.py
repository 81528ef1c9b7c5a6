"""A year of dossiers drawn from a seed, lived through by the core alone: what people do, and what the clock does between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from config import yamltext
from states.decide import decide, submit
from states.definition import parse
from states.dossier import DUE, Act, Actor, Context, Decision, Rung
from states.errors import CoupeFileError
from states.machine import Compiled
from workflow.journal import dumps

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)
FILE = Path(__file__).parents[1] / "definitions/elapsed.v1.yaml"
HOLDER = Actor(1, None, "holder")
TICK = timedelta(microseconds=1)


def compiled(**change: Any) -> Compiled:
    """The definition of the tests, with other lengths in days for some of its clocks."""
    data = yamltext.read(FILE).data
    for name, days in change.items():
        data["clocks"][name]["length"] = {"elapsed_days": days}
    return Compiled(parse(data))


def year(seed: int, dossiers: int, until: datetime) -> Iterator[dict[str, Any]]:
    """The events of a year as they stand in a journal, in plain values."""
    chance, rules = random.Random(seed), compiled()
    for key in range(1, dossiers + 1):
        at = BEGINS + timedelta(seconds=chance.randrange(365 * 86400))
        if at < until:
            yield from _plain(key, _lived(chance, rules, at, until))


def _plain(key: int, decisions: Iterator[Decision]) -> Iterator[dict[str, Any]]:
    seq = 0
    for decision in decisions:
        for event in decision.events:
            seq += 1
            yield {
                "id": key, "seq": seq, "at": event.at, "effective": event.effective, "kind": event.kind,
                "role": event.actor.role, "command": orjson.loads(dumps(event.command)),
                "facts": orjson.loads(dumps(event.facts)), "effect": orjson.loads(dumps(event.effect)),
            }  # fmt: skip


def _lived(chance: random.Random, rules: Compiled, at: datetime, until: datetime) -> Iterator[Decision]:
    vacant = {index for index in range(1, 6) if chance.random() < 0.2}
    rungs = tuple(Rung(index, index + 1, staffed=index not in vacant) for index in range(6))
    context = Context(rungs, frozenset({7}))
    commune, topic = chance.choice(["64300", "31555", "97411"]), chance.choice(["eau", "raccordement"])
    # What is declared is drawn from the instant, so that the same seed goes on living the same year.
    drawn = int(at.timestamp())
    declared = {"jobs": drawn % 97, "invested": drawn % 13, **({"project": f"p{drawn % 60}"} if drawn % 3 else {})}
    data = {"topic": topic, "commune": commune, **declared}
    decision = submit(rules, HOLDER, args={}, data=data, context=context, at=at)
    yield decision
    quick = chance.random() < 0.4
    while True:
        dossier = decision.after
        at += timedelta(seconds=int(chance.expovariate(1 / (86400 * (2 if quick else 9)))) + 1)
        while dossier.wake_at is not None and dossier.wake_at < min(at, until):
            woken = dossier.wake_at + (TICK if chance.random() < 0.7 else timedelta(hours=chance.randrange(1, 30)))
            if woken >= until:
                break
            decision = decide(rules, dossier, DUE, context=context, at=max(woken, dossier.at or woken))
            dossier = decision.after
            yield decision
        at = max(at, dossier.at or at)
        if at >= until or (dossier.closed_at is not None and chance.random() < 0.9):
            return
        act = _act(chance, dossier.phase, at, dossier.unit)
        try:
            decision = decide(rules, dossier, act, context=context, at=at)
        except CoupeFileError:
            continue
        yield decision


def _act(chance: random.Random, phase: str, at: datetime, unit: int | None) -> Act:
    referent = Actor(2, unit, "referent")
    term = (at + timedelta(days=chance.randrange(1, 30))).isoformat()
    motive = chance.choice(["piece_required", "piece_optional", "clarification", "third_party"])
    acts = [
        Act("hold", referent, {"motive": motive, "answer_by": term, "reason": {}}),
        Act("answer", HOLDER, {"reason": {}}),
        Act("message", referent, {"message": {}}),
        Act("note", referent, {"note": {}}),
        Act("escalate", referent, {"reason": {}}),
        Act("withdraw", HOLDER, {"reason": {}}),
        Act("transfer", referent, {"to_unit": chance.randrange(1, 7), "reason": {}}),
        Act("take_back", Actor(3, 1, "referent"), {"reason": {}}),
    ]
    weights = [5, 5, 4, 2, 2, 1, 2, 1]
    if phase == "submitted":
        return (
            Act("triage", referent, {"to_unit": chance.randrange(1, 7)})
            if chance.random() < 0.7
            else chance.choice(acts)
        )
    if phase == "resolved":
        return Act("reopen", HOLDER, {"reason": {}})
    if chance.random() < 0.3:
        return Act("resolve", referent, {"outcome": chance.choice(["unblocked", "refused"]), "statement": {}})
    return chance.choices(acts, weights)[0]
