"""The French of the command line: fields, outcomes, motives, levels, events. Labels of a definition come before these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from states.definition import Definition
    from states.dossier import Dossier

FIELDS = {
    "topic": "Le sujet, par son code (coupe-file directory list topics).",
    "commune": "La commune du site, par son code INSEE.",
    "title": "Le titre du dossier.",
    "blockage": "Ce qui bloque.",
    "reason": "Le motif.",
    "statement": "La réponse motivée que le porteur lira.",
    "outcome": "L'issue.",
    "to_unit": "L'administration, par son code (coupe-file directory list).",
    "to_user": "La personne, par son login.",
    "forced": "Passer outre la compétence déclarée dans l'annuaire.",
    "motive": "Le motif de la demande.",
    "answer_by": "Le terme laissé au porteur, avec son fuseau : 2026-12-01T18:00:00+01:00.",
    "seen": "La version du dossier que vous avez sous les yeux : refusé si elle a changé.",
}
CHOICES = {
    "unblocked": "débloqué",
    "refused": "refusé",
    "redirected": "réorienté",
    "withdrawn": "retiré",
    "without_object": "sans objet",
    "piece_required": "pièce indispensable",
    "piece_optional": "pièce utile, non indispensable",
    "clarification": "précision",
    "third_party": "réponse d'un tiers",
    "missing_piece": "pièce manquante",
}
ROLES = {
    "holder": "porteur",
    "referent": "référent",
    "head": "chef de service",
    "prefet": "préfet",
    "manager": "pilote",
    "operator": "opérateur",
    "system": "horloge",
    "importer": "reprise de données",
    "migration": "changement de version",
}
EVENTS = {
    "submit": "Déposé",
    "clock.breach": "Échéance dépassée",
    "clock.remind": "Rappel",
    "clock.lapse": "Rappel devenu sans objet",
    "clock.refuse": "L'horloge n'a pas pu agir",
    "clock.idle": "Examiné, rien à faire",
    "definition.migrate": "Passé à une autre version",
}
LEVELS = {
    "territory": "territoire",
    "service": "service instructeur",
    "arrondissement": "sous-préfecture",
    "departement": "préfecture",
    "region": "région",
    "national": "national",
    "operator": "opérateur",
}
REASONS = {
    "no_triage_in_time": "pas d'orientation dans le délai",
    "rung_commitment_missed": "pas de réponse de l'échelon dans le délai",
    "not_accepted_in_time": "pas d'acceptation dans le délai",
}


def choice(value: str | None) -> str:
    """A choice in French, and as it is typed."""
    if value is None:
        return ""
    return CHOICES.get(value, value)


def field_help(name: str, of: tuple[str, ...]) -> str:
    """The help of a field, with its choices."""
    words = FIELDS.get(name, f"Le champ {name}.")
    if of:
        listed = [f"{value} ({CHOICES[value]})" if value in CHOICES else value for value in of]
        words = f"{words.removesuffix('.')} : {', '.join(listed)}."
    return words


def state(definition: Definition, name: str) -> str:
    """The label of a state."""
    return definition.states[name].label or name


def rung(definition: Definition, index: int | None) -> str:
    """The label of a rung, or nothing."""
    if index is None or index >= len(definition.ladder):
        return ""
    return definition.ladder[index].label or definition.ladder[index].rung


def clock(definition: Definition, name: str) -> str:
    """The label of a clock."""
    rule = definition.clocks.get(name)
    return (rule.label if rule is not None else None) or name


def event(definition: Definition, kind: str) -> str:
    """What happened, from the label of what was asked."""
    if kind in EVENTS:
        return EVENTS[kind]
    label = next((trigger.label for trigger in definition.triggers if trigger.name == kind), None)
    return label or kind


def command(trigger: str) -> str:
    """The command of a trigger: `end_hold` is asked by `end-hold`."""
    return trigger.replace("_", "-")


def next_due(definition: Definition, dossier: Dossier) -> str | None:
    """The label of the running clock that the dossier's due date is that of."""
    running = [(clock.due, name) for name, clock in dossier.clocks.items() if clock.end is None]
    return clock(definition, min(running)[1]) if running else None


def on(instant: Any, zone: str) -> str:
    """An instant in full, in a time zone."""
    from workflow.letters import date

    return date(instant, ZoneInfo(zone))
