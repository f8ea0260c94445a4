"""What a fleet says that no worker is left of."""

from pipeline.runtime.ray_workers import reasons


def test_of_every_machine_the_first_reason_is_told_and_each_sentence_once():
    gave_up = [
        ("a", "the disk is full (1)"),
        ("a", "the disk is full (2)"),
        ("b", "away"),
        ("c", "away"),
        ("b", "full"),
    ]
    assert reasons(gave_up) == "the disk is full (1); away"
