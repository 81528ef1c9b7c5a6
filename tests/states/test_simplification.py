"""France Simplification: seized by a préfet alone, after the local rungs, with the whole statement that it asks for."""

from dataclasses import replace
from pathlib import Path

import pytest

import config
from config import yamltext
from config.administrations import shipped
from states import topics
from states.decide import decide
from states.definition import parse
from states.dossier import Act, Actor, Context, Dossier, Rung
from states.errors import DefinitionError, Refused
from states.machine import Compiled
from tests.states.dossiers import CONTEXT, DAY, RUNGS, START

DATA = yamltext.read(Path(config.__file__).parent / "workflows" / "coupe-file.v1.yaml").data
OWN = parse({**DATA, "clocks": {}})  # no clock, and so no calendar
PREFET, REFERENT = Actor(4, 13, "prefet"), Actor(2, 15, "referent")
REASON = "Les deux distances ne peuvent être tenues ensemble."
PARTS = {
    "blocking_rule": "Les deux arrêtés qui fixent la distance à la voie.",
    "tried_locally": "Trois réunions des services, sans lecture commune.",
    "why_no_derogation": "La sécurité ferroviaire n'est pas de sa compétence.",
    "proposed": "Retenir la plus courte des deux distances avec un mur.",
}


def asked(actor=PREFET, *, units=(10, 11, 12, 13, 14, 15), context=CONTEXT, rung=5, **args):
    dossier = Dossier(
        state="escalated", phase="escalated", seq=1, version=1, at=START, unit=10 + rung, rung=rung, units=tuple(units),
        data={"topic": "regles-contradictoires", "commune": "18279"},
    )  # fmt: skip
    act = Act("escalate", actor, {"reason": REASON, **args})
    return decide(Compiled(OWN), dossier, act, context=context, at=START + DAY, clock_runs=False)


def refused(**given) -> Refused:
    with pytest.raises(Refused) as refusal:
        asked(**given)
    return refusal.value


def test_a_prefet_seizes_it_with_the_whole_statement_which_stands_in_the_event():
    decision = asked(**PARTS)
    (event,) = decision.events
    assert (decision.after.unit, decision.after.rung) == (16, 6)
    assert event.command["args"] == {"reason": REASON, **PARTS}


@pytest.mark.parametrize("absent", [*([name] for name in PARTS), list(PARTS), ["tried_locally", "proposed"]])
def test_each_part_that_is_missing_is_named_in_words_and_as_it_is_typed(absent):
    error = refused(**{name: said for name, said in PARTS.items() if name not in absent})
    words = {name: OWN.fields[name].label for name in OWN.ladder[6].needs}
    assert (error.code, error.field) == ("statement", "escalate")
    for name in PARTS:
        assert (f"{words[name]} ({name})" in error.message) is (name in absent)


def test_nobody_but_a_prefet_goes_there_and_the_clock_never_does():
    assert refused(actor=REFERENT, **PARTS).code == "ladder_exhausted"


def test_it_comes_after_the_local_rungs_that_stand_and_a_vacant_one_is_no_obstacle():
    error = refused(units=(10, 13, 15), **PARTS)
    assert error.code == "lower_rungs_first"
    assert error.message.endswith("à saisir d'abord : Service instructeur, Sous-préfecture")
    vacant = tuple(replace(rung, staffed=rung.index not in (1, 2)) for rung in RUNGS)
    assert asked(units=(10, 13, 15), context=Context(vacant), **PARTS).after.unit == 16
    none = tuple(rung for rung in RUNGS if rung.index not in (1, 2))  # no such rung at that place
    assert asked(units=(10, 13, 15), context=Context((*none, Rung(1, None))), **PARTS).after.unit == 16


def test_a_statement_that_no_rung_above_asks_for_is_refused_not_kept_unread():
    error = refused(rung=2, units=(10, 11, 12), proposed=PARTS["proposed"])
    assert (error.code, error.message) == (
        "no_statement",
        "« Préfecture » ne demande pas d'exposé ; de trop : proposed",
    )


def test_what_is_said_of_it_in_the_topics_is_what_the_ladder_asks():
    rule = OWN.ladder[6]
    for topic in topics.parse(shipped.topics(), shipped.kinds()).values():
        told = topic.rungs[6]
        assert (told.rung, told.only_by, told.auto, told.after_local) == (rule.rung, rule.only_by, rule.auto, True)
        assert all(words in told.statement for words in (OWN.fields[name].label for name in rule.needs))
        local = [rung.rung for rung in topic.rungs if rung.level not in ("region", "national")]
        assert list(rule.after) == local


def test_a_definition_whose_climb_would_not_look_at_its_conditions_is_refused():
    def without(**change):
        data = {
            **DATA,
            "triggers": [{**one, **change} if one["name"] == "escalate" else one for one in DATA["triggers"]],
        }
        with pytest.raises(DefinitionError) as refusal:
            parse(data)
        return " ".join(words for _, words in refusal.value.problems)

    said = without(guards=["rung_above_open"])
    assert "lower_rungs_first" in said
    assert "statement_given" in said
    assert "« proposed »" in without(optional=["seen"])
