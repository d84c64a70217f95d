"""Outcome and Outcomes are ordinary Python: an enum and a named tuple."""

import copy
import enum
import json
import pickle

import pytest

from hitring import HitCounter, ManualClock, Outcome, Outcomes


def test_an_outcome_is_an_enum():
    assert issubclass(Outcome, enum.Enum)
    assert [(outcome.name, outcome.value) for outcome in Outcome] == [
        ("COUNTED", "counted"),
        ("LATE", "late"),
        ("FUTURE", "future"),
        ("SATURATED", "saturated"),
        ("REFUSED", "refused"),
    ]
    assert Outcome("late") is Outcome.LATE


def test_an_outcome_is_the_text_of_its_value():
    for outcome in Outcome:
        assert outcome == outcome.value
        assert (str(outcome), f"{outcome}") == (f"Outcome.{outcome.name}",) * 2
        assert f"{outcome:>20}" == str(outcome).rjust(20)
        assert json.loads(json.dumps({"outcome": outcome})) == {"outcome": outcome.value}
        assert repr(outcome) == f"<Outcome.{outcome.name}: {outcome.value!r}>"
    assert len({*Outcome}) == len(Outcome)


def test_only_counted_is_true():
    assert [outcome for outcome in Outcome if outcome] == [Outcome.COUNTED]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_outcomes_survive_pickling(protocol):
    for value in (*Outcome, Outcomes(1, 2, 3, 4, 5)):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    for outcome in Outcome:
        assert pickle.loads(pickle.dumps(outcome, protocol)) is outcome
        assert copy.deepcopy(outcome) is outcome


def test_they_are_hitrings():
    assert (Outcome.__module__, Outcomes.__module__) == ("hitring", "hitring")
    assert repr(Outcomes(late=1)) == "Outcomes(counted=0, late=1, future=0, saturated=0, refused=0)"


def test_every_outcome_is_tallied():
    clock = ManualClock(1_000)
    counter = HitCounter(60, clock=clock)
    assert counter.record(3) is Outcome.COUNTED
    assert counter.record_at(1_000 - counter.slots, 4) is Outcome.LATE
    assert counter.record_at(2_000, 5) is Outcome.FUTURE
    assert counter.record(2**62) is Outcome.SATURATED
    assert counter.outcomes() == Outcomes(counted=3, late=4, future=5, saturated=2**62)
    counted, late, future, saturated, refused = counter.outcomes()
    assert (counted, late, future, saturated, refused) == (3, 4, 5, 2**62, 0)


def test_tallies_do_not_go_down_when_slots_are_reused():
    counter = HitCounter(1, slack=0)
    for at in range(0, 10_000, 3):
        counter.hit(at)
    assert counter.outcomes().counted == len(range(0, 10_000, 3))
    assert counter.getHits(9_999) == 1


def test_the_same_member_is_answered_each_time():
    counter = HitCounter(clock=ManualClock(1_000))
    assert counter.record() is counter.record_at(995) is Outcome.COUNTED
