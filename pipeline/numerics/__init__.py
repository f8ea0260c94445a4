"""How a number is made: arrays in, arrays out. Knows the paper;
knows no id, store, study or cluster."""
