"""The French of what readers see: fields, outcomes, motives, levels, events. Labels of a definition come before these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from states.definition import Definition
    from states.dossier import Dossier

PARIS = "Europe/Paris"
"""The zone of a dossier that no administration holds."""
_PLACES = {
    "Indian/Reunion": "La Réunion",
    "America/St_Barthelemy": "Saint-Barthélemy",
    "America/Marigot": "Saint-Martin",
    "America/Miquelon": "Saint-Pierre-et-Miquelon",
    "Pacific/Noumea": "Nouméa",
    "Pacific/Wallis": "Wallis-et-Futuna",
    "Indian/Kerguelen": "Kerguelen",
}
"""Time zones whose city is spelt otherwise in French."""


def place_of(zone: str) -> str:
    """The place whose clocks a time zone keeps, as one writes it."""
    return _PLACES.get(zone) or zone.rpartition("/")[2].replace("_", " ")


def zone_note(zone: str) -> str:
    """What is said after a time that is not that of Paris."""
    return "" if zone == PARIS else f" (heure de {place_of(zone)})"


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
    "clock": "Le délai, par son nom (coupe-file explain DOSSIER les liste).",
    "extension": "La prolongation, par son nom.",
    "started": "Le départ corrigé du délai, avec son fuseau : 2026-11-24T09:00:00+01:00.",
    "project": "La référence du projet dont ce blocage fait partie.",
    "procedure": "La procédure en cause, dont dépendent les délais légaux.",
    "received_on": "La date de réception de la demande par l'administration, AAAA-MM-JJ.",
    "applicant": "La qualité du demandeur.",
    "ouvrage": "L'ouvrage, pour un permis de construire.",
    "evaluation_environnementale": "Projet soumis à évaluation environnementale.",
    "etude_d_impact": "Projet soumis à étude d'impact.",
    "siret": "Le SIRET de l'établissement concerné.",
    "since": "Depuis quand le projet est bloqué : AAAA-MM-JJ.",
    "needed_by": "La date au-delà de laquelle le projet est compromis : AAAA-MM-JJ.",
    "jobs": "Les emplois en jeu.",
    "invested": "L'investissement en jeu, en millions d'euros.",
    "message": "Le message : le porteur et les administrations saisies le lisent.",
    "note": "La note, que seules les administrations saisies lisent.",
    "consulted": "Le service consulté, par son code (coupe-file route dit qui l'est d'ordinaire).",
    "question": "La question posée au service consulté.",
    "basis": "Le texte qui prévoit l'avis, dont dépendent son délai et ce que vaut le silence.",
    "days": "Sans texte, le délai laissé au service, en jours ouvrés, de 1 à 60 ; 10 si rien n'est dit.",
    "dossier": "La référence du dossier sur lequel l'avis porte.",
    "opinion": "L'avis, que les administrations saisies liront.",
    "request": "La référence de la demande d'avis.",
    "blocking_rule": "Pour France Simplification : le texte ou la règle qui bloque.",
    "tried_locally": "Pour France Simplification : ce que les services de l'État ont tenté sur place.",
    "why_no_derogation": "Pour France Simplification : pourquoi la dérogation du préfet ne suffit pas.",
    "proposed": "Pour France Simplification : ce qui est proposé.",
    "seen": "La version du dossier que vous avez sous les yeux : refusé si elle a changé.",
}
LABELS = {
    "blockage": "Ce qui bloque",
    "siret": "SIRET",
    "since": "Bloqué depuis",
    "needed_by": "Nécessaire avant",
    "jobs": "Emplois",
    "invested": "Investissement (millions d'euros)",
    "project": "Projet",
    "procedure": "Procédure",
    "received_on": "Reçu le",
    "complete_on": "Complet le",
    "applicant": "Demandeur",
    "ouvrage": "Ouvrage",
    "evaluation_environnementale": "Évaluation environnementale",
    "etude_d_impact": "Étude d'impact",
    "regulation": "Règlement européen",
    "dossier": "Dossier concerné",
    "question": "Question posée",
    "basis": "Texte",
    "days": "Jours ouvrés",
    "capacite": "Capacité",
    "technologie": "Technologie",
    "activite": "Activité",
}
CHOICES = {
    "elected": "élu",
    "company": "entreprise",
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
    "report": "rapport d'évaluation des incidences",
    "approved": "accordé",
    "prive": "personne privée",
    "public": "personne publique",
    "coupe_file": "demande de coupe-file elle-même",
    "demande_acceptation": "demande dont le silence vaut acceptation",
    "demande_rejet": "demande dont le silence vaut rejet",
    "permis_de_construire": "permis de construire",
    "declaration_prealable": "déclaration préalable",
    "autorisation_environnementale": "autorisation environnementale",
    "enregistrement_icpe": "enregistrement d'une installation classée",
    "declaration_iota": "déclaration au titre de la loi sur l'eau",
    "derogation_especes": "dérogation espèces protégées",
    "defrichement": "défrichement",
    "archeologie": "archéologie préventive",
    "certificat_de_projet": "certificat de projet",
    "raccordement_rte": "raccordement au réseau de transport d'électricité",
    "nzia": "règlement européen « zéro net » (NZIA)",
    "crma": "règlement européen sur les matières premières critiques (CRMA)",
    "maison": "maison individuelle",
    "monument_ou_erp": "monument historique ou établissement recevant du public",
    "autre": "autre",
    "demande_electronique": "demande adressée à une administration",
    "recours": "recours",
    "recours_urbanisme": "recours contre un permis",
    "france_simplification": "saisine de France Simplification",
    "demandeur": "le demandeur",
    "tiers": "un tiers",
    "oui": "oui",
    "moins_de_1_gw": "moins de 1 GW par an",
    "extraction": "extraction",
    "transformation": "transformation ou recyclage",
    "stockage_co2": "stockage de CO2",
    "pieces": "pièces demandées",
    "favourable": "favorable",
    "favourable_with_reserves": "favorable avec réserves",
    "unfavourable": "défavorable",
    "no_observation": "sans observation",
    "not_concerned": "service non concerné",
    "sans_texte": "aucun texte",
    "urbanisme": "autorisation d'urbanisme, C. urb. R423-59",
    "autorite_environnementale": "autorité environnementale, C. env. R122-7",
    "accord_expres": "accord exprès exigé par un texte",
}
SILENCES = {
    "favourable": "sans réponse à cette date, l'avis est réputé favorable",
    "unfavourable": "sans réponse à cette date, l'avis est réputé défavorable",
    "no_observation": "sans réponse à cette date, l'avis est réputé rendu sans observation",
}
"""What the silence of a service that is consulted is taken for, by the outcome that it has."""
ATTRIBUTES = {
    "ouvrage": "Ouvrage",
    "evaluation_environnementale": "Soumis à évaluation environnementale",
    "etude_d_impact": "Soumis à étude d'impact",
    "capacite": "Capacité de production",
    "activite": "Activité",
    "technologie": "Technologie",
}
"""What a rule of law may look at in a project."""
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
    "hold.late": "Date laissée au porteur dépassée",
    "clock.rebuild": "Échéance recalculée",
    "party.invite": "Invitation à porter le dossier",
    "party.join": "Porte désormais le dossier",
    "party.take_back": "Invitation reprise",
    "party.leave": "Ne porte plus le dossier",
    "file.add": "Pièce jointe",
}
BECAME = {
    "sending": "en cours d'envoi",
    "waiting": "en attente",
    "undelivered": "le courriel n'a pas pu partir",
    "over": "périmée",
    "accepted": "acceptée",
    "withdrawn": "reprise",
}
"""What becomes of an invitation."""
LEVELS = {
    "territory": "territoire",
    "service": "service instructeur",
    "arrondissement": "sous-préfecture",
    "departement": "préfecture",
    "region": "région",
    "national": "national",
    "operator": "opérateur",
}
MAY = {
    "instruct": "instruire",
    "decide": "décider",
    "mediate": "rapprocher",
    "mobilise": "mobiliser",
    "arbitrate": "arbitrer",
}
REASONS = {
    "no_triage_in_time": "pas d'orientation dans le délai",
    "completeness_missed": "complétude non notifiée à temps ; rien n'est réputé complet",
    "rung_commitment_missed": "pas de réponse de l'échelon dans le délai",
    "not_accepted_in_time": "pas d'acceptation dans le délai",
}


def choice(value: str | None) -> str:
    """A choice in French, and as it is typed."""
    if value is None:
        return ""
    return CHOICES.get(value, value)


def silence(outcome: str | None) -> str:
    """What the silence of a service consulted is taken for, or nothing."""
    return SILENCES.get(outcome or "", "")


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


def statement(definition: Definition) -> dict[str, str]:
    """The fields of the statements that rungs ask for, in words."""
    return {name: definition.fields[name].label or name for one in definition.ladder for name in one.needs or ()}


def clock(definition: Definition, name: str) -> str:
    """The label of a clock."""
    rule = definition.clocks.get(name)
    return (rule.label if rule is not None else None) or name


def event(definition: Definition, kind: str) -> str:
    """What happened, from the label of what was asked."""
    if kind == "submit" and definition.purpose is not None:
        return state(definition, definition.initial)  # a request is asked for, not deposited
    if kind in EVENTS:
        return EVENTS[kind]
    label = next((trigger.label for trigger in definition.triggers if trigger.name == kind), None)
    return label or kind


def command(trigger: str) -> str:
    """The command of a trigger: `end_hold` is asked by `end-hold`."""
    return trigger.replace("_", "-")


def next_due(definition: Definition, dossier: Dossier) -> str | None:
    """The label of the running clock that the dossier's due date is that of."""
    from states.clocks import next_due as nearest  # noqa: PLC0415  (completion reads these words without the rest)

    name = nearest(definition, dossier)
    return None if name is None else clock(definition, name)


def on(instant: Any, zone: str) -> str:
    """An instant in full, in a time zone."""
    from workflow.letters import date  # noqa: PLC0415  (completion reads these words without the rest)

    return date(instant, ZoneInfo(zone))


def then(definition: Definition, kind: str, *, rung_index: int | None, trigger: str | None) -> str:
    """What comes at the next term if nobody does anything (a `Then` of workflow.view)."""
    if kind == "ends_hold":
        return "sans réponse à ce terme, la demande se clôt et les délais suspendus repartent"
    if kind == "records":
        return "sans suite à cette date, le dépassement est noté et signalé"
    if kind == "climbs":
        return f"sans suite à cette date, l'horloge saisit l'échelon suivant ({rung(definition, rung_index)})"
    return f"sans suite à cette date, l'horloge demande : {event(definition, trigger or '').lower()}"


TOPICS = {
    "autorisation-environnementale": (
        "Autorisation environnementale",
        "Installation classée, étude d'impact, enquête publique.",
    ),
    "calendriers": ("Calendriers qui ne s'accordent pas", "Plusieurs procédures s'attendent l'une l'autre."),
    "eau": ("Eau", "Prélèvement, rejet, interlocuteur pour l'eau."),
    "enseignement-superieur": (
        "Formation et enseignement supérieur",
        "Agrément d'un diplôme, ouverture d'une formation.",
    ),
    "especes-protegees": ("Espèces protégées", "Dérogation, inventaire, mesures de compensation."),
    "foncier": ("Foncier", "Terrain introuvable, bloqué ou partagé entre plusieurs propriétaires."),
    "iota": ("Loi sur l'eau (IOTA)", "Déclaration ou autorisation au titre de la loi sur l'eau."),
    "logement": ("Logement des salariés", "Loger ceux qui viennent travailler."),
    "nzia": ("Industrie « zéro net » (règlement NZIA)", "Projet qui relève du règlement européen NZIA."),
    "permis-de-construire": ("Permis de construire", "Permis, pièces demandées, évaluation environnementale."),
    "raccordement": ("Raccordement électrique", "RTE, Enedis ou l'opérateur local : date, puissance, coût."),
    "regles-contradictoires": (
        "Règles contradictoires",
        "Deux textes ou deux services demandent des choses incompatibles.",
    ),
}
"""What some topics are called in a few words, and what they cover."""


def topic(code: str | None) -> str:
    """What a topic is called; by its code when nobody has words for it."""
    return about(code or "")[0]


def about(code: str) -> tuple[str, str]:
    """What a topic is called and what it covers: in our few words, else in those of the reference data, else by its code."""
    if code in TOPICS:
        return TOPICS[code]
    from workflow import places  # noqa: PLC0415  (slow to read, and seldom needed)

    known = places.known_topics().get(code)
    return (known.label, known.help) if known is not None else (code, "")
