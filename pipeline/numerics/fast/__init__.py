"""The training loop again, fast: the same numbers as reference_loop.py within stated tolerances, held to it by tests.
What both loops share is one room above."""
