"""Laws: a study is a fixed list without repeats, and what is missing is the rest of it, the longest first."""

import pytest

from pipeline.paper.networks import TWELVE
from pipeline.paper.refused import Refused
from pipeline.plan.choose import flops, needed
from pipeline.plan.studies import STUDIES, study


def test_digits_are_the_twelve_networks_for_each_seed():
    experiments = study("digits", 3).experiments
    assert [e.network.name for e in experiments] == list(TWELVE) * 3
    assert len({e.id for e in experiments}) == 36
    assert {e.id for e in study("digits", 1).experiments} < {e.id for e in experiments}


def test_studies_do_not_share_ids_by_accident():
    ids = [e.id for name in STUDIES for e in study(name).experiments]
    assert len(ids) == len(set(ids))


def test_the_paper_is_no_judge_of_digits():
    assert not study("digits").comparable


def test_an_unknown_study_is_answered_with_the_nearest():
    with pytest.raises(Refused, match="Did you mean digits"):
        study("digit")
    with pytest.raises(Refused, match="--seeds"):
        study("digits", 0)


def test_what_is_missing_is_the_rest_longest_first():
    experiments = study("digits").experiments
    settled = {experiments[0].id, experiments[5].id}
    rest = needed(experiments, settled)
    assert {e.id for e in rest} == {e.id for e in experiments} - settled
    assert [flops(e) for e in rest] == sorted((flops(e) for e in rest), reverse=True)
