"""The document of topics, checked: every rung of every topic has its kinds, and every word used is known."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from states.errors import BadInput, shown
from states.ladder import Lever, RungRule, Topic

MAY = ("instruct", "decide", "mediate", "mobilise", "arbitrate")
CONFIDENCE = ("verified", "partial", "uncertain")
_RUNG = {"label", "level", "kinds", "may", "does", "only_by", "auto", "after_local", "statement"}
_TOPIC = {"label", "help", "consulted", "levers", "basis", "confidence"}
_LEVER = {"title", "by", "basis", "confidence"}


def parse(document: Any, kinds: Collection[str]) -> dict[str, Topic]:
    """The topics by name, in order. Raises BadInput with every problem, each with its place.

    `kinds` are those of the units of a directory.
    """
    problems = list(_problems(document, kinds))
    if problems:
        lines = "\n".join(f"  {place} : {words}" for place, words in problems)
        error = BadInput("topics", f"sujets refusés ({len(problems)} problèmes)\n{lines}")
        error.problems = [{"place": place, "message": words} for place, words in problems]
        raise error
    levers = {name: Lever(name, **given) for name, given in document["levers"].items()}
    return {
        name: Topic(
            name,
            given["label"],
            given["help"],
            tuple(_rung(rung, {**default, **given.get(rung, {})}) for rung, default in document["rungs"].items()),
            tuple(given.get("consulted") or ()),
            tuple(levers[lever] for lever in given.get("levers") or ()),
            given["basis"],
            given["confidence"],
        )
        for name, given in document["topics"].items()
    }


def _rung(name: str, given: Mapping[str, Any]) -> RungRule:
    return RungRule(
        name,
        given["label"],
        given["level"],
        tuple(given["kinds"]),
        tuple(given["may"]),
        given.get("does", ""),
        tuple(given.get("only_by", ())),
        given.get("auto", "true") == "true",
        given.get("after_local", "false") == "true",
        given.get("statement", ""),
    )


def _problems(document: Any, kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    if not isinstance(document, Mapping) or {"rungs", "levers", "topics"} - set(document):
        yield "document", "rungs, levers et topics sont attendus"
        return
    for name, lever in document["levers"].items():
        yield from _keys(f"levers.{name}", lever, _LEVER, _LEVER)
    for name, topic in document["topics"].items():
        place = f"topics.{name}"
        rungs = document["rungs"]
        yield from _keys(place, topic, {"label", "help", "basis", "confidence"}, _TOPIC | set(rungs))
        if topic.get("confidence") not in CONFIDENCE:
            yield f"{place}.confidence", f"« {shown(topic.get('confidence'))} » ; accepté : {', '.join(CONFIDENCE)}"
        for lever in topic.get("levers") or ():
            if lever not in document["levers"]:
                yield f"{place}.levers", f"levier inconnu « {shown(lever)} »"
        for kind in topic.get("consulted") or ():
            if kind not in kinds:
                yield f"{place}.consulted", f"nature d'administration inconnue « {shown(kind)} »"
        for rung, default in rungs.items():
            yield from _rung_problems(f"{place}.{rung}", {**default, **topic.get(rung, {})}, kinds)


def _rung_problems(place: str, rule: Mapping[str, Any], kinds: Collection[str]) -> Iterator[tuple[str, str]]:
    yield from _keys(place, rule, {"label", "level", "kinds", "may"}, _RUNG)
    for kind in rule.get("kinds", ()):
        if kind not in kinds:
            yield f"{place}.kinds", f"nature d'administration inconnue « {shown(kind)} »"
    for verb in rule.get("may", ()):
        if verb not in MAY:
            yield f"{place}.may", f"« {shown(verb)} » ; accepté : {', '.join(MAY)}"


def _keys(place: str, given: Mapping[str, Any], needed: set[str], known: set[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(needed - {key for key, value in given.items() if value}):
        yield f"{place}.{name}", "obligatoire et absent"
    for name in sorted(set(given) - known):
        yield f"{place}.{name}", f"inconnu ; accepté : {', '.join(sorted(known))}"
