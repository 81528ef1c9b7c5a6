"""The electronic acknowledgements of a dossier: which events give one, and what it says, in French.

Made on demand from the journal, and kept nowhere: what was erased from a dossier is in no copy of ours, and whoever was
sent one has it. The contact of an administration is that of the directory when the letter is made.

The mentions are those of the Code des relations entre le public et l'administration: R112-11-2 (registration), R112-11-1
(date of reception, administration in charge, what silence makes, appeals or attestation), R112-11-4 and L114-5 (missing
pieces, their date, and what that does to the decision that silence makes).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from states.decide import SUBMIT
from states.definition import Definition
from states.dossier import Dossier
from states.errors import Refused
from states.explanation import LANGUAGES
from workflow import definitions, directory, journal, silence, texts, words
from workflow.journal import Recorded
from workflow.silence import INDISPENSABLE, Silence
from workflow.typeset import Letter, Section
from workflow.view import View

REGISTRATION, RECEIPT, PIECES = "registration", "receipt", "pieces"
TITLES = {
    REGISTRATION: "Accusé d'enregistrement électronique",
    RECEIPT: "Accusé de réception électronique",
    PIECES: "Demande de pièces manquantes",
}
NAMES = {REGISTRATION: "accuse-enregistrement", RECEIPT: "accuse-reception", PIECES: "pieces-manquantes"}
UNOFFICIAL = "Service non officiel"
_NO_ADMINISTRATION = (
    "Ce document atteste ce qui est enregistré dans ce service. Il n'émane pas d'une administration et ne vaut pas accusé au "
    "sens du code des relations entre le public et l'administration (CRPA)."
)


@dataclass(frozen=True, slots=True)
class Paper:
    """An acknowledgement that an event gave: which event, of when, of which kind."""

    seq: int
    at: datetime
    kind: str
    reference: str

    @property
    def title(self) -> str:
        """What it is called."""
        return TITLES[self.kind]

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{NAMES[self.kind]}-{self.reference}-{self.seq}.pdf"


# --- which events give one --------------------------------------------------------------------------------------------


def kind_of(definition: Definition, kind: str, args: Mapping[str, Any]) -> str | None:
    """Which acknowledgement an event gives: the submission, each naming of the administration in charge (CRPA L114-4), each
    request of a piece without which nothing can be decided.
    """
    if silence.acknowledged_by(definition) is None:
        return None
    if kind == SUBMIT:
        return REGISTRATION
    effects = next((trigger.effects for trigger in definition.triggers if trigger.name == kind), ())
    if "place_on_rung" in effects:
        return RECEIPT
    return PIECES if "open_hold" in effects and args.get("motive") == INDISPENSABLE else None


def listed(view: View) -> list[Paper]:
    """The acknowledgements of a dossier, in order."""
    kinds = ((event, kind_of(view.decided(event), event.kind, event.command.get("args", {}))) for event in view.events)
    return [Paper(event.seq, event.effective, kind, view.reference) for event, kind in kinds if kind is not None]


def find(view: View, seq: int) -> Paper:
    """The acknowledgement of an event, for who may read texts. Raises Refused."""
    if not (view.sees_texts and view.named):
        raise Refused(
            "role", "un accusé cite le dossier, dont ce lecteur ne lit pas les textes", field="DOSSIER",
            accepted="une partie au dossier, ou une administration saisie",
        )  # fmt: skip
    papers = listed(view)
    for paper in papers:
        if paper.seq == seq:
            return paper
    accepted = ", ".join(str(paper.seq) for paper in papers) or "ce dossier n'en a aucun"
    raise Refused("unknown", f"l'événement {seq} n'a donné aucun accusé", field="NUMÉRO", accepted=accepted)


# --- what it says -----------------------------------------------------------------------------------------------------

_EVENT = """
select e.kind, e.command -> 'args' as args, e.definition_id, d.reference from events e join dossiers d on d.id = e.dossier_id
where e.dossier_id = :id and e.seq = :seq
"""
_UNITS = "select id, name, telephone, mailbox, zone from units where id = any(:ids)"


@dataclass(frozen=True, slots=True)
class _Facts:
    """What an acknowledgement is made of."""

    paper: Paper
    event: Recorded
    submitted: Recorded
    definition: Definition
    dossier: Dossier
    silences: list[Silence]
    unit: Any
    sender: str | None
    commune: str | None
    asked: Any
    texts: Mapping[str, str]
    zone: ZoneInfo
    operator: str | None

    def on(self, instant: datetime) -> str:
        """An instant on the clocks of the administration, with the place when that is not Paris."""
        return words.on(instant, self.zone.key) + words.zone_note(self.zone.key)

    def written(self, value: Any) -> str | None:
        """What was written in a field, or that it was erased."""
        return self.texts.get(value["text"], texts.ERASED) if isinstance(value, dict) and "text" in value else None


def letter(session: Session, dossier_id: int, seq: int, *, operator: str | None) -> tuple[Paper, Letter] | None:
    """The acknowledgement that an event gave and what it says; None when it gave none. `operator` answers for the service."""
    row = session.execute(text(_EVENT), {"id": dossier_id, "seq": seq}).one_or_none()
    if row is None:
        return None
    definition = definitions.get(session, row.definition_id).compiled.definition
    kind = kind_of(definition, row.kind, row.args or {})
    if kind is None:
        return None
    facts = _facts(session, dossier_id, seq, kind, row.reference, definition, operator)
    return facts.paper, _letter(facts)


def _facts(
    session: Session, key: int, seq: int, kind: str, reference: str, definition: Definition, operator: str | None
) -> _Facts:
    events = [event for event in journal.read(session, [key]) if event.seq <= seq]
    submitted, event, dossier = events[0], events[-1], journal.folded(events)
    unit = session.execute(text(_UNITS), {"ids": [dossier.unit]}).one_or_none()
    named = (
        "select name from persons where id = :id"
        if submitted.actor.role == "holder"
        else "select name from units where id = :id"
    )
    by = submitted.actor.person if submitted.actor.role == "holder" else submitted.actor.unit
    asked = _asked(events)
    wanted = [*dossier.data.values(), asked]
    keys = [uuid.UUID(value["text"]) for value in wanted if isinstance(value, dict) and "text" in value]
    return _Facts(
        Paper(seq, event.effective, kind, reference), event, submitted, definition, dossier,
        silence.of(definition, dossier, directory.almanac_now(session), submitted.effective), unit,
        session.execute(text(named), {"id": by}).scalar(),
        session.execute(text("select name from communes where code = :code"), {"code": dossier.data.get("commune")}).scalar(),
        asked, {str(key): body for key, body in texts.bodies(session, keys).items() if body is not None},
        ZoneInfo(unit.zone if unit is not None else words.PARIS), operator,
    )  # fmt: skip


def _asked(events: Sequence[Recorded]) -> Any:
    """What the latest request to the holder says."""
    for event in reversed(events):
        args = event.command.get("args", {})
        if "holds" in event.effect and "answer_by" in args:
            return args.get("reason")
    return None


def _letter(facts: _Facts) -> Letter:
    body = {REGISTRATION: _registration, RECEIPT: _receipt, PIECES: _pieces_alone}[facts.paper.kind]
    lead = [] if facts.operator is not None else [_NO_ADMINISTRATION]
    return Letter(
        title=facts.paper.title, author=facts.operator or UNOFFICIAL, subject=f"Dossier {facts.paper.reference}",
        dated=facts.event.effective, lead=lead, facts=list(_request(facts)), sections=list(body(facts)),
        foot=f"Dossier {facts.paper.reference}, événement n° {facts.paper.seq} de son journal. Preuve : {facts.event.hash.hex()[:32]}",
    )  # fmt: skip


def _request(facts: _Facts) -> Iterator[tuple[str, str]]:
    data = facts.dossier.data
    yield "Envoi reçu le", facts.on(facts.submitted.effective)
    if facts.paper.kind == RECEIPT:
        yield "Administration chargée du dossier saisie le", facts.on(facts.event.effective)
    if (title := facts.written(data.get("title"))) is not None:
        yield "Objet", title
    if data.get("topic"):
        yield "Sujet", words.topic(data["topic"])
    if data.get("commune"):
        yield "Commune du site", f"{facts.commune or ''} ({data['commune']})".strip()
    if (siret := facts.written(data.get("siret"))) is not None:
        yield "SIRET", siret
    if facts.sender is not None:
        by = facts.sender if facts.submitted.actor.role == "holder" else f"{facts.sender}, pour le porteur du projet"
        yield "Déposé par", by


def _registration(facts: _Facts) -> Iterator[Section]:
    name = silence.acknowledged_by(facts.definition)
    clock = facts.dossier.clocks.get(name or "")
    follows = ["Lorsqu'une date limite s'attache à cet envoi, la date de réception ci-dessus fait foi (CRPA L112-13)."]
    if clock is not None:
        follows.append(
            f"Un accusé de réception électronique suit au plus tard le {facts.on(clock.due)}, soit dix jours ouvrés à compter "
            "de la saisine de l'administration compétente (CRPA R112-11-2)."
        )
    if not any(one.own and one.effect == "acceptance" for one in facts.silences):
        follows.append("Le silence gardé sur cette demande ne vaut pas acceptation.")
    yield Section("Ce qui suit", paragraphs=follows)
    yield _unit(facts, "Service saisi")
    if (blockage := facts.written(facts.dossier.data.get("blockage"))) is not None:
        yield Section("Ce qui a été déposé", quote=blockage)


def _receipt(facts: _Facts) -> Iterator[Section]:
    yield _unit(facts, "Service chargé du dossier")
    yield from _pieces(facts)
    yield from _silences(facts)


def _pieces_alone(facts: _Facts) -> Iterator[Section]:
    yield from _pieces(facts)
    yield _unit(facts, "Service chargé du dossier")
    yield from _silences(facts)


def _unit(facts: _Facts, title: str) -> Section:
    """Who is in charge, and how to reach them: an electronic or a postal address, and a telephone."""
    if facts.unit is None:
        return Section(title, paragraphs=["Aucune administration n'est encore saisie."])
    none = "non renseigné dans l'annuaire"
    contact = [("Désignation", facts.unit.name), ("Adresse électronique", facts.unit.mailbox or none),
               ("Téléphone", facts.unit.telephone or none)]  # fmt: skip
    return Section(title, facts=contact)


def _pieces(facts: _Facts) -> Iterator[Section]:
    """What is missing, until when it can be produced, and what that does to each decision that silence would make."""
    hold = facts.dossier.hold
    if hold is None or hold.motive != INDISPENSABLE:
        return
    until = facts.on(hold.until)
    effects = [_effect(one, until) for one in facts.silences]
    yield Section(
        "Pièces et informations manquantes", quote=facts.written(facts.asked),
        paragraphs=["La demande est incomplète : ce qui est demandé ici est indispensable à son instruction."],
        facts=[("À produire au plus tard le", until)], items=effects,
    )  # fmt: skip


def _effect(one: Silence, until: str) -> str:
    what = f"{one.label} : "
    if one.held == "pause":
        return (
            f"{what}le délai est suspendu jusqu'à la production de ces pièces, au plus tard jusqu'au {until} (CRPA L114-5). "
            "La date donnée plus bas suppose qu'elles arrivent ce jour-là."
        )
    if one.held == "restart":
        return (
            f"{what}le délai ne court qu'à compter de la réception de ces pièces. La date donnée plus bas suppose qu'elles "
            f"arrivent le dernier jour, le {until}."
        )
    return f"{what}cette demande ne change pas la date donnée plus bas."


_MADE = {
    "acceptance": "elle {is_} réputée acceptée",
    "rejection": "elle {is_} réputée rejetée",
    "no_opposition": "l'administration {is_} réputée ne pas s'y opposer",
    "waiver": "l'administration {is_} réputée y renoncer",
}
_NOUN = {
    "acceptance": "d'acceptation",
    "rejection": "de rejet",
    "no_opposition": "de non-opposition",
    "waiver": "de renonciation",
}
_EFFECT = {
    "acceptance": "acceptation",
    "rejection": "rejet",
    "no_opposition": "absence d'opposition",
    "waiver": "renonciation",
}


def _silences(facts: _Facts) -> Iterator[Section]:
    """What silence makes of the request; then, for information, of the procedure that it says is blocked."""
    told_on = facts.event.effective.astimezone(facts.zone).date()
    for one in (one for one in facts.silences if one.own):
        over = one.day < told_on
        made = (
            _MADE[one.effect].format(is_="est" if over else "sera")
            + (" depuis le " if over else " le ")
            + _day(one.day)
        )
        said = (
            f"Cette demande est susceptible de donner lieu à une décision implicite {_NOUN[one.effect]}. Sous réserve qu'elle "
            f"soit complète, et à défaut d'une décision expresse, {made} ({one.basis})."
        )
        paragraphs = [said]
        if one.effect in ("acceptance", "no_opposition"):
            paragraphs.append(
                "Une attestation de cette décision peut alors être délivrée au demandeur qui la demande (CRPA L232-3)."
            )
        if one.doubt is not None:
            paragraphs.append(f"Réserve : {one.doubt}")
        yield Section("Si aucune décision n'est prise", paragraphs=paragraphs)
        if one.appeal_until is not None:
            yield Section("Voies et délais de recours", items=list(_appeals(one, one.appeal_until)))
    others = [one for one in facts.silences if not one.own]
    if others:
        procedure = words.choice(facts.dossier.data.get("procedure"))
        yield Section(
            f"Pour information : procédure en cause ({procedure})",
            paragraphs=[
                "Le présent accusé concerne la demande ci-dessus. Il ne remplace pas celui de la procédure en cause."
            ],
            items=[
                f"{one.label} : le silence gardé jusqu'au {_day(one.day)} vaut {_EFFECT[one.effect]} ({one.basis})."
                + (f" Réserve : {one.doubt}" if one.doubt else "")
                for one in others
            ],
        )


def _appeals(one: Silence, until: date) -> Iterator[str]:
    yield (
        f"Recours contentieux contre le rejet implicite du {_day(one.day)} : devant le tribunal administratif compétent, "
        f"au plus tard le {_day(until)} ({one.appeal_basis}), par courrier ou par www.telerecours.fr."
    )
    yield (
        "Recours administratif, dans le même délai : gracieux, auprès du service chargé du dossier, ou hiérarchique, auprès de "
        "l'autorité dont il relève. Formé dans ce délai, il interrompt celui du recours contentieux (CRPA L411-2)."
    )
    yield (
        "Les motifs du rejet peuvent être demandés dans ce délai ; ils sont communiqués dans le mois. Le délai du recours "
        "contentieux court alors jusqu'à deux mois après leur communication (CRPA L232-4)."
    )


def _day(day: date) -> str:
    return LANGUAGES["fr"].day(day)
