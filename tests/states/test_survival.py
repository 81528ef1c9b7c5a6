"""Kaplan and Meier against the textbook: the 6-MP arm of Freireich et al. (Blood 21, 1963), as Kalbfleisch, Klein and others print it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from states.survival import curve

WEEK = timedelta(weeks=1)
ENDED = [6, 6, 6, 7, 10, 13, 16, 22, 23]
LEFT = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]


@pytest.fixture
def remissions():
    return curve([(n * WEEK, True) for n in ENDED] + [(n * WEEK, False) for n in LEFT])


def test_the_curve_of_the_textbook(remissions):
    printed = {6: 0.8571, 7: 0.8067, 10: 0.7529, 13: 0.6902, 16: 0.6275, 22: 0.5378, 23: 0.4482}
    assert {step.time // WEEK: round(step.waiting, 4) for step in remissions.steps} == printed
    assert [step.at_risk for step in remissions.steps] == [21, 17, 15, 12, 11, 7, 6]


def test_the_interval_of_the_textbook_on_the_log_log_scale(remissions):
    # Greenwood's standard error at 10 weeks is 0.0963; the interval is what R's survfit(conf.type = "log-log") gives.
    _, low, high = remissions.at(10 * WEEK)
    assert (round(low, 3), round(high, 3)) == (0.503, 0.889)
    assert remissions.at(5 * WEEK) == (1.0, 1.0, 1.0)


def test_the_median_counts_those_that_still_wait(remissions):
    median = remissions.quantile(0.5)
    assert median.at == 23 * WEEK
    assert median.low == 13 * WEEK
    assert median.high is None
    assert remissions.quantile(0.9).at is None


def test_nobody_waited_is_no_datum_and_not_one():
    none = curve([])
    assert none.at(WEEK) is None
    assert none.quantile(0.5).at is None


def test_all_over_at_once_comes_down_to_nothing():
    found = curve([(WEEK, True)] * 3)
    assert found.at(WEEK) == (0.0, 0.0, 0.0)
    assert found.quantile(0.9).at == WEEK
