"""From results to numbers with verdicts: verification, tables of errors, intervals, learning rates, claims.
File formats and the page are in `publication`."""
