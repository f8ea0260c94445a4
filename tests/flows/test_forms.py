"""The forms of the deployments: every field with title and help, and refused by the server what no study can take."""

import json
import re
from dataclasses import replace
from functools import cache

import pytest

from pipeline.plan.studies import STUDIES, study


@cache
def deployment_of(name):
    from flows.deployments import deployment
    from flows.parameters import studies_text

    return deployment(name, studies_text())


def schema_of(name):
    return deployment_of(name)._parameter_openapi_schema.model_dump(exclude_unset=True)


NAMES = ("reproduce", "prepare", "train", "publish", "explain")
REFUSED = {"images": 0, "image_numbers": [-1], "methods": ["guidde"], "layers": ["conv0"], "top": 0, "seeds": 101}


@pytest.mark.parametrize("name", ["explain", "reproduce"])
@pytest.mark.parametrize("field", REFUSED)
def test_the_server_refuses_what_no_study_can_take(name, field):
    from jsonschema import Draft202012Validator  # as the server asks

    schema = schema_of(name)
    form = Draft202012Validator(schema)
    untouched = {field: about["default"] for field, about in schema["properties"].items()}
    form.validate(untouched)
    assert not form.is_valid(untouched | {field: REFUSED[field]})


@pytest.mark.parametrize("name", NAMES)
def test_every_field_of_a_form_is_flat_and_has_a_title_and_help(name):
    schema = schema_of(name)
    assert next(iter(schema["properties"])) == "study"
    for field, about in schema["properties"].items():
        assert about["title"][0].isupper(), field
        assert 20 < len(about["description"]) < (160, 1600)[field == "study"], field
        assert "object" not in json.dumps(about), field
    assert schema["required"] == [f for f, about in schema["properties"].items() if about["default"] is not None]


@pytest.mark.parametrize("name", NAMES)
def test_the_field_of_studies_says_what_each_is_and_costs(name):
    said = schema_of(name)["properties"]["study"]["description"]
    for each in STUDIES:
        assert re.search(rf"[.|] {each}: [^|]+ \([^()]+; [^()]+\)( \||$)", said), each


def test_the_question_of_a_study_of_ones_own_breaks_no_form():
    from flows.parameters import _question

    smoke = study("smoke")
    assert _question(replace(smoke, question="is *a* | b\n#1?")) == r"is \*a\* \| b \#1?"
    assert len(_question(replace(smoke, question="why " * 100))) <= 120
    assert _question(replace(smoke, question="")) == "no question given"


def test_a_deployment_says_what_each_study_is_and_costs():
    rows = [line.split("|")[1].strip() for line in deployment_of("reproduce").description.splitlines() if "|" in line]
    assert rows[2:] == [f"`{name}`" for name in STUDIES]


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("precious-walrus", True),  # by the server
        ("gamma893-rukbah-z", True),  # by the UI
        ("omega-vega", True),
        ("Refined-Somali", True),  # by the newer UI
        ("Weekly-Look", False),
        ("weekly-check", False),
        ("my look", False),
        ("table-3-final", False),
    ],
)
def test_only_names_that_prefect_made_up_are_replaced(name, generated):
    from flows.hosted import _is_generated

    assert _is_generated(name) is generated


def test_reproduce_is_scheduled_weekly_and_paused():
    [schedule] = deployment_of("reproduce").schedules
    assert schedule.active is False
    assert schedule.schedule.cron.split()[-1] == "6"
