"""What a study of one's own cannot be made of is refused by its field, in one line, before anything is planned."""

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from pipeline.errors import UserError
from pipeline.own import DIGITS, Conv, Dropout, Network, OwnStudy, Printed, Shift, better, replace, with_epochs
from pipeline.plan import study_files


def study(**more):
    given = {"name": "mine", "question": "?", "networks": ["all-cnn-c"], "data": "digits", **more}
    return OwnStudy(**given)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", 3, "name must be a text, not 3"),
        ("question", None, "question must be a text, not None"),
        ("networks", None, "networks must be networks, their names"),
        ("networks", [3], "networks must be networks, their names, .*, not 3"),
        ("networks", [Network("n", 32, ())], "n has no convolution"),
        ("networks", [Network("n", 32, ("conv", 3))], "a layer of n must be Conv, Pool or Dropout, not 'conv'"),
        ("networks", [Network("n", 32, (Conv(1, 10),), channels=1)], "n takes images of 1 channels, .* digits have 3"),
        ("data", None, "data must be a data set"),
        ("data", 3, "data must be a data set"),
        ("recipe", "DIGITS", "recipe must be a recipe"),
        ("recipe", replace(DIGITS, batch=10**6), "a batch of 1,000,000 is larger than an epoch, 1,442 images"),
        ("learning_rates", ["0.1"], "learning_rates must be a list of numbers, not '0.1'"),
        ("learning_rates", [True], "learning_rates must be a list of numbers, not True"),
        ("seeds", 10**9, "seeds must lie between 1 and 100"),
        ("seeds", 0, "seeds must lie between 1 and 100"),
        ("seeds", 1.5, "seeds must be a whole number, not 1.5"),
        ("seeds", True, "seeds must be a whole number, not True"),
        ("claims", ["it is better"], "claims must be sentences"),
        ("claims", {"it is better": 3}, "claims must be sentences"),
        ("beside", [9.08], "beside must be a list of Printed"),
        ("beside", [Printed("all-cnn-c", e, "they") for e in (9.07, 9.08)], "shows one number in print: leave one"),
        ("claims", {"it is better": better("all-cnn-c", "ALL-CNN-C")}, "compares all-cnn-c with itself"),
        ("validation", 3, "validation must be a data set or its name"),
        ("validation", "digits", "would choose learning rates on the test images that its table is about"),
    ],
)
def test_a_field_of_another_kind_is_named(field, value, says):
    with pytest.raises(UserError, match=says):
        study(**{field: value})


def test_one_of_a_kind_needs_no_list():
    listed = study(networks=["all-cnn-c"], learning_rates=[0.01]).planned()
    assert study(networks="all-cnn-c", learning_rates=0.01).planned() == listed
    assert study(claims={"a": [better("all-cnn-c", Printed("all-cnn-c", 9.08, "they"))]}).planned().claims


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_epochs(DIGITS, 2.5),
        lambda: with_epochs(DIGITS, "2"),
        lambda: replace(DIGITS, batch=2.5),
        lambda: Conv(3, 8.5),
        lambda: Conv(3, "8"),
        lambda: Shift(2.5),
        lambda: replace(DIGITS, lr_drops=3),
        lambda: replace(DIGITS, lr_drops=["3"]),
    ],
)
def test_what_is_counted_is_a_whole_number(make):
    with pytest.raises(ValueError, match="whole number"):
        make()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"preprocess": "whiten"}, r"preprocess must be Whiten\(...\) .* not 'whiten' and None"),
        ({"augment": "shift"}, r"augment Shift\(...\), .* and 'shift'"),
        ({"augment": Shift(32, fill="reflect")}, "an image of 32 px cannot be reflected over 32 px"),
    ],
)
def test_what_a_recipe_does_to_images_is_known_and_possible(changes, says):
    assert study(recipe=replace(DIGITS, augment=Shift(31, fill="reflect"))).planned()
    with pytest.raises(ValueError, match=says):
        study(recipe=replace(DIGITS, **changes))


@pytest.mark.parametrize(
    ("left", "where", "says"),
    [
        (None, {}, "a network is a Network or its name, not None"),
        ("all-cnn-c", {"data": 3}, "data must be a data set or its name, not 3"),
        ("all-cnn-c", {"augmented": "yes"}, "augmented must be True or False, not 'yes'"),
    ],
)
def test_what_a_sentence_is_about_is_of_its_kind(left, where, says):
    for make in (lambda: better(left, "model-a", **where), lambda: Printed(left, 9.08, "they", **where)):
        with pytest.raises(UserError, match=says):
            make()
    with pytest.raises(UserError, match=r"a Printed number, not 9\.08"):
        better("all-cnn-c", 9.08)


@pytest.mark.parametrize("error", [float("nan"), float("inf"), -1, 101, "9.08"])
def test_an_error_in_print_is_a_percentage(error):
    with pytest.raises(UserError, match="between 0 and 100"):
        Printed("all-cnn-c", error, "they")


def test_a_dropout_share_is_none_that_is_not_a_number():
    with pytest.raises(ValueError, match="dropout share"):
        Dropout(float("nan"))


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """What `strive plan FILE --json` answers for a file with this text."""
    monkeypatch.setenv(study_files.VARIABLE, "")

    def ask(text):
        (tmp_path / "mine.py").write_text(text)
        return CliRunner().invoke(app, ["plan", str(tmp_path / "mine.py"), "--json", "--store", str(tmp_path / "st")])

    return ask


def test_what_a_file_prints_is_no_part_of_the_answer(planned):
    made = "from pipeline.own import OwnStudy\ns = OwnStudy('mine', '?', ['all-cnn-c'], data='digits')"
    answer = planned(f"print('hello')\n{made}")
    assert (answer.exit_code, answer.stderr, answer.stdout[0]) == (0, "hello\n", "{")


@pytest.mark.parametrize(
    "text", ["raise ValueError('a\\nb')", "input()", "open('/nowhere')", "\0", "def f(): f()\nf()"]
)
def test_whatever_a_file_raises_is_one_line(planned, text):
    answer = planned(text)
    assert (answer.exit_code, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert answer.stderr.startswith("strive: mine.py")
