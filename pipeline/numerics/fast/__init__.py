"""The training loop again, fast; tests compare its numbers with reference_loop.py's within stated tolerances.
What both loops share is in `numerics`."""
