"""From results to numbers with verdicts: verification, the tables of errors, intervals, rates, and the claims.
Files for people, their formats and their page are in `publication`."""
