"""Legal limits: one vocabulary, the table of rules, and what is said where the law is not sure."""

from __future__ import annotations

import copy
from datetime import date

import pytest

from config import holidays, legal_rules
from states import explanation, legal
from states.errors import BadInput
from states.legal import Hold, Limit

TABLE = legal.parse(legal_rules.document())
METROPOLE = holidays.of_zone("metropole")


def day(text):
    return date.fromisoformat(text)


def due(limit, start, **more):
    return legal.due(limit, day(start), holidays=METROPOLE, **more).due.isoformat()


def chosen(procedure, clock="instruction", on="2027-01-15", **more):
    return TABLE.choose(procedure, clock, on=day(on), **more)


# --- the vocabulary -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "start", "expected"),
    [
        (Limit(months=1), "2027-01-31", "2027-02-28"),
        (Limit(months=1), "2028-01-31", "2028-02-29"),
        (Limit(months=12), "2028-02-29", "2029-02-28"),
        (Limit(months=2, rolls=True), "2027-03-08", "2027-05-10"),  # 8 May is a Saturday and a holiday
        (Limit(months=2, franc=True, rolls=True), "2027-03-05", "2027-05-07"),  # 6 May is Ascension
        (Limit(days=15, franc=True, rolls=True), "2027-03-01", "2027-03-17"),
        (Limit(days=10, kind="working"), "2026-12-21", "2027-01-06"),
        (Limit(days=4, kind="opening"), "2027-04-30", "2027-05-07"),
        (Limit(days=0), "2027-05-01", "2027-05-01"),
        (Limit(months=2, next_day=True), "2023-12-30", "2024-02-29"),  # 31 December, then no 31 February
        (Limit(months=2, franc=True), "2023-12-30", "2024-03-01"),  # 29 February, then a day more
    ],
)
def test_a_length_is_reckoned_as_said(limit, start, expected):
    assert due(limit, start) == expected


def test_an_extension_counts_from_the_origin_and_not_from_the_shortened_date():
    assert due(Limit(months=5), "2027-01-31") == "2027-06-30"
    assert due(Limit(months=5), "2027-01-31", extension_months=2) == "2027-08-31"


def test_a_suspended_implied_rejection_is_put_off_by_the_days_of_the_suspension():
    rule = TABLE.limit(chosen("demande_electronique", "rejet"))
    produced = Hold(day("2027-03-15"), day("2027-03-29"), "pieces")
    never = Hold(day("2027-03-15"), day("2027-04-15"), "pieces")
    assert due(rule, "2027-03-01", holds=[produced]) == "2027-05-15"
    assert due(rule, "2027-03-01", holds=[never]) == "2027-06-01"


def test_an_implied_acceptance_starts_again_when_the_pieces_come():
    rule = TABLE.limit(chosen("demande_electronique", "acceptation"))
    assert due(rule, "2027-03-01", holds=[Hold(day("2027-03-10"), day("2027-04-20"), "pieces")]) == "2027-06-20"


def test_pieces_asked_of_a_building_permit_within_the_month_restart_it_and_later_do_nothing():
    rule = TABLE.limit(chosen("permis_de_construire"))
    in_time = Hold(day("2027-02-15"), day("2027-03-01"), "pieces")
    late = Hold(day("2027-02-16"), day("2027-03-01"), "pieces")
    assert due(rule, "2027-01-15", holds=[in_time]) == "2027-06-01"
    found = legal.due(rule, day("2027-01-15"), holidays=METROPOLE, holds=[late])
    assert found.due == day("2027-04-15")
    assert "sans effet : elle a été demandée après le lundi 15 février 2027" in " ".join(
        explanation.sentences(found.steps)
    )


def test_what_is_opened_once_the_decision_is_born_changes_nothing():
    limit = Limit(months=2, holds={"pieces": "pause"})
    assert due(limit, "2027-01-15", holds=[Hold(day("2027-03-16"), day("2027-04-16"), "pieces")]) == "2027-03-15"


# The rest of the upstream examples of silence decisions: démarche.numerique, the specification named in tests/oracles/README.md.
@pytest.mark.parametrize(
    ("holds", "resume", "today", "expected"),
    [
        (
            [("2023-05-20", "2023-05-25", "incorrect"), ("2023-05-30", "2023-06-03", "incorrect")],
            "pause",
            None,
            "2023-07-27",
        ),
        (
            [("2023-05-20", "2023-05-25", "incorrect"), ("2023-05-30", None, "incomplete")],
            "pause",
            "2023-06-05",
            "2023-08-06",
        ),
        (
            [("2023-05-20", "2023-05-25", "incomplete"), ("2023-05-30", "2023-06-03", "incorrect")],
            "pause",
            None,
            "2023-07-31",
        ),
        ([("2023-05-30", None, "incorrect")], "restart", "2023-06-05", "2023-08-06"),
    ],
)
def test_a_correction_pauses_or_restarts_by_its_motive(holds, resume, today, expected):
    limit = Limit(months=2, next_day=True, holds={"incorrect": resume, "incomplete": "restart"})
    given = [Hold(day(opened), resolved and day(resolved), motive) for opened, resolved, motive in holds]
    assert due(limit, "2023-05-15", holds=given, today=today and day(today)) == expected


def test_a_correction_over_before_the_limit_runs_changes_nothing_and_it_is_said():
    limit = Limit(months=2, next_day=True, holds={"incorrect": "pause"})
    found = legal.due(
        limit, day("2023-05-15"), holidays={}, holds=[Hold(day("2023-05-15"), day("2023-05-16"), "incorrect")]
    )
    assert found.due == day("2023-07-16")
    assert "elle était finie quand le délai a commencé à courir" in " ".join(explanation.sentences(found.steps))


@pytest.mark.parametrize(
    ("holds", "code"),
    [
        ([Hold(day("2027-01-20"), day("2027-01-19"), "pieces")], "order"),
        ([Hold(day("2027-01-14"), day("2027-01-19"), "pieces")], "order"),
        ([Hold(day("2027-01-20"), day("2027-01-30"), "a"), Hold(day("2027-01-25"), day("2027-02-01"), "a")], "order"),
        ([Hold(day("2027-01-20"), None, "pieces")], "missing"),
        ([Hold(day("2027-01-20"), day("2027-03-02"), "pieces")], "future"),
    ],
)
def test_holds_that_cannot_be_are_refused(holds, code):
    with pytest.raises(BadInput) as refused:
        due(Limit(months=2), "2027-01-15", holds=holds, today=day("2027-03-01") if code == "future" else None)
    assert (refused.value.code, refused.value.field.split("[")[0]) == (code, "corrections")


@pytest.mark.parametrize("limit", [Limit(months=10**9), Limit(days=10**9), Limit(days=10**6, kind="working")])
def test_a_limit_that_leaves_the_calendar_is_refused(limit):
    with pytest.raises(BadInput, match="sort du calendrier"):
        due(limit, "2027-01-15")


def test_a_negative_length_is_refused():
    for limit, more in ((Limit(months=-1), {}), (Limit(days=-1), {}), (Limit(days=1), {"not_counted": -1})):
        with pytest.raises(BadInput, match="négative"):
            due(limit, "2027-01-15", **more)


# --- the explanation ----------------------------------------------------------------------------------------------------


def test_a_due_date_is_derived_in_french_step_by_step():
    found = legal.due(Limit(months=2, franc=True, rolls=True), day("2027-03-05"), holidays=METROPOLE)
    assert explanation.sentences(found.steps) == [
        "Le délai part du vendredi 5 mars 2027 ; ce jour ne compte pas.",
        "2 mois, de quantième à quantième : mercredi 5 mai 2027.",
        "Délai franc, un jour de plus : jeudi 6 mai 2027.",
        "Le délai n'expire pas le jeudi 6 mai 2027 : jour férié, Ascension.",
        "Il est reporté au premier jour ouvrable suivant, vendredi 7 mai 2027.",
        "Échéance : vendredi 7 mai 2027.",
    ]
    assert explanation.sentences(found.steps, "en")[-1] == "Due date: Friday 7 May 2027."


def test_an_implied_decision_born_on_a_sunday_says_that_it_is_not_put_off():
    said = explanation.sentences(legal.due(Limit(months=2), day("2027-04-20"), holidays=METROPOLE).steps)
    assert said[-2] == "Sans report, bien que ce ne soit pas un jour ouvré (fin de semaine)."


def test_a_franc_limit_at_the_end_of_a_month_says_that_it_can_be_read_in_two_ways():
    franc = Limit(months=2, franc=True, rolls=True)
    doubtful = legal.due(franc, day("2024-12-30"), holidays=METROPOLE)
    assert doubtful.due == day("2025-03-03")
    assert "compté depuis le lendemain, il expirerait le 28/02/2025" in explanation.sentences(doubtful.steps)[-1]
    sure = legal.due(franc, day("2026-12-30"), holidays=METROPOLE)  # both readings are put off to the same Monday
    assert [step.code for step in sure.steps if step.code == "uncertain"] == []


# --- the table ----------------------------------------------------------------------------------------------------------


def test_a_rule_depends_on_the_date_of_the_decision():
    assert chosen("recours_urbanisme", "gracieux", on="2025-11-27").months == 2
    assert chosen("recours_urbanisme", "gracieux", on="2025-11-28").months == 1


def test_a_rule_depends_on_the_applicant():
    assert chosen("defrichement", applicant="prive").silence == "acceptance"
    assert chosen("defrichement", applicant="public").silence == "rejection"
    with pytest.raises(BadInput, match="demandeur prive"):
        chosen("defrichement")


def test_a_rule_depends_on_the_zone():
    assert chosen("recours", "contentieux", zone="metropole").months == 2
    assert chosen("recours", "contentieux", zone="976").months == 3


def test_a_rule_depends_on_the_project():
    assert chosen("permis_de_construire").silence == "acceptance"
    assert chosen("permis_de_construire", attributes={"evaluation_environnementale": "oui"}).silence == "rejection"
    assert chosen("permis_de_construire", attributes={"ouvrage": "maison"}).months == 2


def test_two_rules_as_narrow_are_not_chosen_between():
    with pytest.raises(BadInput) as refused:
        chosen("permis_de_construire", attributes={"ouvrage": "maison", "evaluation_environnementale": "oui"})
    assert refused.value.code == "ambiguous"


def test_before_its_law_a_procedure_has_no_rule_and_the_answer_says_since_when_it_has():
    with pytest.raises(BadInput, match="du 2024-10-22"):
        chosen("autorisation_environnementale", "examen", on="2024-10-21")


def test_distance_lengthens_an_appeal():
    rule = chosen("recours", "contentieux")
    months, days, steps = TABLE.extended(rule, ["outre_mer"])
    assert due(TABLE.limit(rule), "2027-01-11", extension_months=months, extension_days=days) == "2027-04-12"
    assert steps[0].facts["basis"] == "CJA R421-7"
    with pytest.raises(BadInput, match="outre_mer, etranger"):
        TABLE.extended(rule, ["lune"])


def test_every_rule_names_its_basis_and_what_is_not_verified_says_why():
    for rule in TABLE.rules:
        assert rule.basis
        assert rule.confidence == "verified" or rule.doubt
        assert set(rule.zones) <= set(holidays.ZONES)
        said = legal.explained(TABLE, rule, legal.due(TABLE.limit(rule), day("2027-01-15"), holidays=METROPOLE), ())
        told = " ".join(explanation.sentences(said))
        assert rule.basis in told
        assert ("Incertain, à faire vérifier" in told) is (rule.doubt is not None)


def test_no_european_limit_gives_rise_to_an_implied_decision():
    european = [rule for rule in TABLE.rules if rule.procedure in ("nzia", "crma")]
    assert len(european) >= 24
    assert {rule.silence for rule in european} == {"none"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rules: rules["rules"].append(rules["rules"][0]), "donné deux fois"),
        (lambda rules: rules["rules"].append({**rules["rules"][0], "id": "autre"}), "deux fois le même cas"),
        (lambda rules: rules["rules"][0].update(reckoning="lunaisons"), "comput inconnu"),
        (lambda rules: rules["rules"][0].update(months="2"), "une longueur, en mois ou en jours"),
        (lambda rules: rules["rules"][0].update(days=None, months="2"), "compte en days"),
        (lambda rules: rules["rules"][0].update(confidence="uncertain"), "ce qui est incertain se dit"),
        (lambda rules: rules["rules"][0].update(since="2027-01-01", until="2026-01-01"), "until ne suit pas since"),
        (lambda rules: rules["rules"][0].update(extensions=["lune"]), "prolongation inconnue"),
        (lambda rules: rules["rules"][0].update(couleur="bleu"), "couleur"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(change, told):
    document = copy.deepcopy(legal_rules.document())
    change(document)
    with pytest.raises(BadInput, match=told):
        legal.parse(document)
