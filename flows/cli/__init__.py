"""The command `strive`: its arguments, its answers, its progress display, one file a family of commands.
No flow imports it, and nothing is computed here."""
