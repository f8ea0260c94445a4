"""Benchmarks: the speed of training steps compared with a plain PyTorch loop, and the time of everything around them.
No other package imports this one, and no result of the paper is computed here."""
