"""The training loop again, fast: the same numbers as train.py within stated tolerances, held to it by tests."""
