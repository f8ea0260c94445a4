"""What a study publishes: tables in every format, editions, the page with its plots, and pulls of these.
No number is computed here; they come from `evaluation`."""
