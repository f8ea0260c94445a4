"""The command `strive`: arguments, answers and progress display, one file for each family of commands.
No flow imports it, and nothing is computed here."""
