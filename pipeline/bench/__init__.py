"""Benchmarks of this package: what a training step costs beside a plain loop, and what surrounds the steps.
No other room imports it, and no result of the paper is computed here."""
