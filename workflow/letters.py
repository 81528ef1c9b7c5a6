"""The letters: what a notice says, in the French that its reader uses. Pure: a notice in, a subject and a text out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date as day
from datetime import datetime
from zoneinfo import ZoneInfo

from states.attachment import ATTACH
from states.decide import BREACH, IDLE, REFUSE, REMIND, SUBMIT
from states.definition import PASS_ON
from states.dossier import Json
from states.explanation import LANGUAGES, ends_day
from workflow import words
from workflow.outbox import Outgoing
from workflow.registration import ACKNOWLEDGE
from workflow.vacancies import KIND

_HAPPENED = {
    SUBMIT: ("dossier déposé", "Le dossier a été déposé."),
    ACKNOWLEDGE: ("accusé d'enregistrement envoyé", "L'accusé d'enregistrement est envoyé."),
    "triage": ("dossier orienté", "Le dossier a été orienté vers l'administration compétente."),
    "assign": ("dossier attribué", "Le dossier vous est attribué."),
    "release": ("dossier rendu", "Plus personne ne suit le dossier dans votre administration : il est à prendre."),
    "hold": ("une réponse vous est demandée", "L'administration a besoin d'une réponse de votre part."),
    "answer": ("le porteur a répondu", "Le porteur de projet a répondu à la demande."),
    "end_hold": (
        "la demande au porteur est close",
        "La demande faite au porteur est close ; les délais courent de nouveau.",
    ),
    "transfer": ("dossier transmis", "Le dossier a été transmis à une autre administration."),
    "escalate": (
        "un échelon supérieur est saisi",
        "Le dossier n'a pas abouti à l'échelon précédent : l'échelon suivant est saisi.",
    ),
    "exhaust": (
        "échelle épuisée",
        "Tous les échelons ont été saisis. Le dossier reste ouvert ; aucun échelon n'est plus saisi d'office.",
    ),
    "take_back": ("dossier repris", "Un échelon précédent a repris le dossier."),
    "resolve": ("dossier résolu", "Le dossier est résolu. La réponse motivée est à lire dans le dossier."),
    "withdraw": ("dossier retiré", "Le porteur de projet a retiré le dossier."),
    "reopen": ("dossier rouvert", "Le dossier est rouvert."),
    "write": ("message du porteur", "Le porteur de projet vous a écrit. Son message est à lire dans le dossier."),
    "message": (
        "message de l'administration",
        "L'administration vous a écrit. Son message est à lire dans le dossier.",
    ),
    "note": ("note interne", "Une note a été prise entre administrations."),
    ATTACH: ("une pièce est jointe", "Une pièce, ou plusieurs, ont été jointes au dossier : elles y sont à lire."),
    "complete": ("dossier complet", "Le dossier est déclaré complet."),
    "publish_schedule": ("calendrier publié", "Le calendrier d'instruction est publié."),
    "party.invite": (
        "une personne est invitée",
        "Une personne qui porte le dossier avec vous en a invité une autre à le porter aussi.",
    ),
    "party.join": (
        "une personne porte désormais le dossier",
        "La personne qui était invitée porte désormais le dossier avec vous, avec les mêmes droits.",
    ),
    "party.take_back": (
        "une invitation est reprise",
        "Une invitation à porter le dossier est reprise : elle n'ouvre plus rien.",
    ),
    "party.leave": (
        "une personne ne porte plus le dossier",
        "Une personne qui portait le dossier avec vous l'a quitté.",
    ),
    "confidentiality.mark": (
        "la confidentialité du dossier a changé",
        "Une personne qui porte le dossier avec vous a changé ce qu'il laisse voir, et à qui.",
    ),
    "consult": ("avis demandé à un service", "Un service est consulté sur ce dossier."),
    "recall": ("demande d'avis retirée", "Une demande d'avis sur ce dossier est retirée."),
    "pass_on": ("demande d'avis transmise à un autre service", "La demande d'avis est transmise à un autre service."),
    "call_off": (
        "demande d'avis retirée",
        "L'administration qui tient le dossier retire sa demande : votre avis n'est plus attendu. Le motif est à lire en ligne.",
    ),
    "opinion_passed_on": (
        "avis demandé à un autre service",
        "Le service consulté n'était pas le bon : il a transmis la demande d'avis à un autre, qui a une nouvelle échéance.",
    ),
    "give": ("avis rendu", "L'avis est rendu."),
    "opinion_given": ("avis rendu", "Un service consulté a rendu son avis. Il est à lire dans le dossier."),
    "opinion_silent": (
        "délai passé sans avis",
        "Un service consulté n'a pas rendu son avis à temps. Ce que vaut son silence est à lire dans le dossier.",
    ),
    "deem_favourable": ("avis réputé favorable", "Faute de réponse à temps, l'avis est réputé favorable."),
    "deem_unfavourable": ("avis réputé défavorable", "Faute de réponse à temps, l'avis est réputé défavorable."),
    "deem_without_observation": (
        "avis réputé sans observation",
        "Faute de réponse à temps, l'avis est réputé rendu sans observation.",
    ),
    "drop": ("demande d'avis devenue sans objet", "Le dossier est clos : votre avis n'est plus attendu."),
    "decide": ("décision rendue", "La décision globale est rendue. Elle est à lire dans le dossier."),
}
_RECORDED = {
    "implied_rejection": ("rejet implicite", "Le silence gardé jusqu'au {due} vaut rejet (« {clock} »)."),
    "implied_acceptance": ("acceptation implicite", "Le silence gardé jusqu'au {due} vaut acceptation (« {clock} »)."),
    "no_opposition": (
        "absence d'opposition",
        "Le silence gardé jusqu'au {due} vaut absence d'opposition (« {clock} »).",
    ),
    "waiver": ("renonciation", "Le silence gardé jusqu'au {due} vaut renonciation (« {clock} »)."),
}
ENCLOSED = "Pièce jointe : {} (PDF).\n"
LOST = "L'accusé n'a pas pu être joint à ce message. Il se télécharge sur la page du dossier.\n"
ONCE = "Ce message n'est envoyé qu'une fois."


KINDS = tuple(_HAPPENED)
"""The events that have a name of their own."""


def letter(notice: Outgoing) -> tuple[str, str]:
    """The subject and the text of a notice; instants in the time zone of the unit that holds the dossier."""
    zone = ZoneInfo(notice.zone)
    short, sentence = _what(notice, zone)
    lines = [sentence, "", f"Dossier : {notice.reference}" + (f" – {notice.title}" if notice.title else "")]
    lines.append(f"État : {notice.state_label}")
    if notice.about is not None:
        lines.append(f"Avis sur le dossier : {notice.about}")
    elif notice.unit:
        lines.append(f"La balle est chez : {notice.unit}" + (f" ({notice.rung_label})" if notice.rung_label else ""))
    if notice.due_at is not None:
        lines.append(f"Prochaine échéance : {date(notice.due_at, zone)}")
    for asked, said in notice.statement:
        lines += ["", f"{asked[0].upper()}{asked[1:]} :", said]
    lines += ["", "Message automatique du coupe-file administratif."]
    return f"Dossier {notice.reference} : {short}", "\n".join(lines) + "\n"


def digest(lines: Sequence[Outgoing]) -> tuple[str, str]:
    """The subject and the text of the letter of the day: a line for each reminder, the most pressing first."""
    zone = ZoneInfo(lines[0].zone)
    ordered = sorted(lines, key=lambda line: (line.cause["due"], line.reference))
    unit = next((line.unit for line in lines if line.unit), None) or "votre administration"
    number = f"{len(lines)} rappels" if len(lines) > 1 else "1 rappel"
    told = [f"{unit} : {'des échéances approchent' if len(lines) > 1 else 'une échéance approche'}.", ""]
    for line in ordered:
        due = date(datetime.fromisoformat(line.cause["due"]), zone)
        title = f" – {line.title}" if line.title else ""
        told += [f"- {due} : {line.clock_label}", f"  Dossier {line.reference}{title} ({line.state_label})"]
    told += ["", "Ce message du jour réunit les rappels de votre administration.", _SIGNED]
    return f"{unit} : {number}", "\n".join(told) + "\n"


_SIGNED = "Message automatique du coupe-file administratif."


def _what(notice: Outgoing, zone: ZoneInfo) -> tuple[str, str]:
    cause, clock = notice.cause, notice.clock_label or "échéance"
    if cause["kind"] == REMIND:
        due = date(datetime.fromisoformat(cause["due"]), zone)
        return f"rappel, {clock[0].lower()}{clock[1:]} le {due}", f"« {clock} » est attendu au plus tard le {due}."
    if cause["kind"] == BREACH:
        return _missed(cause, clock, zone)
    if cause["kind"] == REFUSE:
        return "l'horloge n'a pas pu agir", f"L'horloge voulait agir ({cause.get('trigger')}) : {cause['message']}"
    if cause["kind"] == KIND:
        return _vacancy(notice)
    if cause["kind"] == IDLE:
        return "dossier sans échéance", "Aucune horloge ne court plus sur ce dossier, et il est toujours ouvert."
    if "was" in cause:
        return _moved(cause, clock, zone)
    if cause["kind"] in (SUBMIT, PASS_ON) and notice.about is not None:
        return _asked(notice)
    if cause["kind"] == SUBMIT:
        return _submitted(cause, zone)
    found = _HAPPENED.get(cause["kind"])
    return found or (cause["kind"], f"Événement : {cause['kind']}.")


def _submitted(cause: Json, zone: ZoneInfo) -> tuple[str, str]:
    """That a dossier came, and when: what an acknowledgement of registration says, its document enclosed or not."""
    short, _ = _HAPPENED[SUBMIT]
    return short, f"Le dossier a été déposé le {date(datetime.fromisoformat(cause['effective']), zone)}."


def _asked(notice: Outgoing) -> tuple[str, str]:
    """That a service is asked for its avis, and what its silence would be taken for."""
    then = words.silence(notice.silence)
    lines = [
        "Votre avis est demandé sur un dossier qu'une autre administration tient ; la question est à lire en ligne."
    ]
    lines += [f"{then[0].upper()}{then[1:]}."] if then else []
    return "votre avis est demandé", " ".join(lines)


def _vacancy(notice: Outgoing) -> tuple[str, str]:
    """That nobody is where a dossier waits."""
    number = notice.cause["dossiers"]
    waiting = "un dossier y attend" if number == 1 else f"{number} dossiers y attendent"
    unit = notice.unit or "une administration"
    return (
        f"personne n'est en fonction, {unit}",
        f"Personne n'est en fonction ni suppléé : {unit} ; {waiting}. Il faut y nommer quelqu'un, ou transmettre. {ONCE}",
    )


def _missed(cause: Json, clock: str, zone: ZoneInfo) -> tuple[str, str]:
    due = date(datetime.fromisoformat(cause["due"]), zone)
    short, sentence = _RECORDED.get(cause["record"], ("", ""))
    if not short:
        return f"échéance du {due} dépassée", f"« {clock} », attendu le {due}, n'est pas arrivé. {ONCE}"
    lines = [sentence.format(due=due, clock=clock)]
    if "appeal_until" in cause:
        until = LANGUAGES["fr"].day(day.fromisoformat(cause["appeal_until"]))
        lines.append(
            f"Cette décision peut être contestée devant le tribunal administratif jusqu'au {until} ({cause['appeal_basis']}) ; "
            "ses motifs peuvent être demandés dans le même délai (CRPA L232-4)."
        )
    return f"{short} le {due}", " ".join([*lines, ONCE])


def _moved(cause: Json, clock: str, zone: ZoneInfo) -> tuple[str, str]:
    was, due = (date(datetime.fromisoformat(cause[name]), zone) for name in ("was", "due"))
    what = "prolongé" if cause["kind"] == "extend" else "corrigé"
    return (
        f"nouvelle échéance, {due}",
        f"Le délai « {clock} » est {what} : {due}, au lieu du {was}. Le motif est à lire dans le dossier.",
    )


def happened(kind: str) -> str | None:
    """What an event is called once it has happened: « dossier résolu »; None for one that has no name of its own."""
    found = _HAPPENED.get(kind)
    return found[0] if found is not None else None


def date(instant: datetime, zone: ZoneInfo) -> str:
    """An instant as a reader says it: « mardi 24 novembre 2026 à 18 h 00 »; the end of a day by its date alone."""
    local = instant.astimezone(zone)
    french = LANGUAGES["fr"]
    return french.day(local) if ends_day(local) else french.instant(local.replace(second=0, microsecond=0))


def sign_in(address: str, minutes: int) -> tuple[str, str]:
    """The subject and the text of a letter that lets its reader sign in, once, at an address."""
    lines = [
        "Vous avez demandé à vous connecter au coupe-file administratif.",
        "",
        f"Pour entrer, ouvrez cette adresse dans les {minutes} minutes ; elle ne sert qu'une fois :",
        address,
        "",
        "Si vous n'avez rien demandé, ne faites rien : personne n'est entré.",
        "",
        "Message automatique du coupe-file administratif.",
    ]
    return "Votre lien de connexion au coupe-file", "\n".join(lines) + "\n"


SIDES = {"elected": "l'élu", "company": "l'entreprise"}


def invitation(inviter: str, reference: str, side: str, address: str, days: int) -> tuple[str, str]:
    """The subject and the text of a letter that invites its reader to a dossier; nothing of what the dossier says."""
    inviter = " ".join(inviter.split())
    lines = [
        f"{inviter} vous invite à porter aussi, du côté de {SIDES[side]}, le dossier {reference} du coupe-file administratif.",
        "",
        "Vous pourrez y lire, répondre, écrire et le retirer : les droits sont les mêmes.",
        f"Pour voir cette invitation et y répondre, ouvrez cette adresse dans les {days} jours ; elle ne sert qu'une fois :",
        address,
        "",
        "Si vous ne connaissez pas cette personne, ne faites rien : rien n'est fait en votre nom.",
        "",
        _SIGNED,
    ]
    return f"Invitation à porter le dossier {reference}", "\n".join(lines) + "\n"
