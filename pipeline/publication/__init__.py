"""What a study publishes: tables in every format, editions, the page with its plots, and pulls of all that.
No number is worked out here: those come from `evaluation`."""
