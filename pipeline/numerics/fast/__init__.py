"""The fast training loop, which trains all runs. Tests compare its results with those of reference_loop.py, within
stated tolerances; code that both loops use is in `pipeline.numerics`."""
