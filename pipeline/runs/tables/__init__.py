"""From results to tables: intervals, verdicts, the claims' scorecard, in every format."""
