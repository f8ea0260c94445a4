"""Experiments, the studies that list them, and the schedule: which runs are needed next.
Standard library only: nothing is trained and no store is read here."""
