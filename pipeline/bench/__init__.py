"""Measuring ourselves: what a step costs, against a plain loop beside it, and what everything around it costs.
Nothing else imports it, and no result of the paper is made here."""
