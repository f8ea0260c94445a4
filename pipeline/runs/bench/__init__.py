"""Measuring ourselves: what a step costs, against a plain loop beside it, and what everything around it costs."""
