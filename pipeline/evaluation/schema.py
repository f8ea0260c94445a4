"""The columns of every table, as data: name, type, unit and meaning. What other programs read; kept stable.

SCHEMA rises when a column is renamed, removed or means something else; a new one at the end leaves it.
"""

from dataclasses import asdict, dataclass

from pipeline.paper.recipes import LEARNING_RATES

# 1  error %, std, seeds: the first table
# 2  four tables, intervals, verdicts; names without blanks
SCHEMA = 2


@dataclass(frozen=True)
class Column:
    """One column. Where people read, only columns with a heading are shown, under it."""

    name: str
    type: str  # text, number, count or flag
    meaning: str
    shown: str = ""  # the heading
    form: str = ""  # format of numbers, where people read
    once: bool = False  # people see a value only where it differs from the row above
    end: str = ""  # the column of an interval's upper end: people see both in one


PERCENT = ".2f"
OF_THE_RUNS = "of the runs in this row"

CELLS = (
    Column("network", "text", "name of the network", "network"),
    Column("dataset", "text", "data set it is trained and tested on", "data"),
    Column("augmented", "flag", "whether its training images are varied", "augmented"),
    Column("rule", "text", "how the learning rate was chosen: paper (best test error of seed 0), held-out (best error "
           "on validation images, training images left out of training), or one rate (nothing to choose)",
           "learning rate by"),
    Column("lr", "number", "the learning rate chosen", "learning rate", "g"),
    Column("paper_error", "number", "error in print, percent", "paper %", PERCENT),
    Column("error", "number", "mean test error over seeds, percent", "error %", PERCENT),
    Column("std", "number", "standard deviation over seeds, percentage points; none for one seed", "std", PERCENT),
    Column("seeds", "count", "finished runs behind the mean", "seeds", "d"),
    Column("low", "number", "lower end of the 95 % interval of the error, percent", "95 % CI", PERCENT,
           end="high"),
    Column("high", "number", "upper end"),
    Column("difference", "number", "error minus the paper's, percentage points; the paper's is taken as exact",
           "difference", "+z.2f"),
    Column("difference_low", "number", "lower end of its 95 % confidence interval", "95 % CI of the difference",
           "+z.2f", end="difference_high"),
    Column("difference_high", "number", "upper end"),
    Column("verdict", "text", "reproduced, better, worse, inconclusive, did not learn, diverged, crashed, damaged "
           "(a file of the store is not what it was), unfinished (runs that choose the learning rate are missing), not "
           "run, refused, not comparable, or no number", "verdict"),
    Column("because", "text", "the verdict in a sentence"),
    Column("interval", "text", "what the interval measures: 't over seeds' how training scatters, 'Wilson, one run' "
           "how test images were drawn", "interval"),
    Column("outcomes", "text", f"outcomes {OF_THE_RUNS}; while no learning rate is chosen, of those that choose it",
           "outcomes"),
    Column("parameters", "count", "weights and biases of our network", "parameters", ",d"),
    Column("paper_parameters", "text", "as the paper prints them"),
    Column("epochs", "count", "epochs trained, the most of any run"),
    Column("seconds", "number", "training time of a finished run, mean over runs", "seconds per run", ".1f"),
    Column("device_seconds", "number", f"devices x seconds {OF_THE_RUNS}, wasted work apart"),
    Column("wasted_seconds", "number", "device-seconds of attempts that were lost"),
    Column("cost", "number", "device_seconds at STRIVE_PRICE_PER_DEVICE_HOUR; none without a price"),
    Column("devices", "text", "what they ran on"),
    Column("modes", "text", "number formats they computed in"),
    Column("commits", "text", "code they were trained by; + marks a checkout with changes"),
    Column("raw_sha256", "text", "digest of the raw data, one for a row"),
    Column("revision", "count", "revision of the numerics, one for a row"),
    Column("whitening_sha256", "text", "digests of the whitening as computed; it may differ between machines"),
    Column("runs", "text", "ids, separated by blanks"),
    Column("paper_support", "text", "how the paper's number is known"),
)  # fmt: skip

RATES = (
    Column("network", "text", "name of the network", "network"),
    Column("dataset", "text", "data set", "data"),
    Column("augmented", "flag", "whether its training images are varied", "augmented"),
    Column("lr", "number", "learning rate", "learning rate", "g"),
    Column("held_out_error", "number", "error on validation images, percent", "validation %", PERCENT),
    Column("first_error", "number", "test error of seed 0, by which the paper's rule chooses, percent", "seed 0 %",
           PERCENT),
    Column("error", "number", "mean test error over seeds, percent", "error %", PERCENT),
    Column("seeds", "count", "finished runs behind the mean", "seeds", "d"),
    Column("outcomes", "text", "outcomes of the runs with this learning rate", "outcomes"),
    Column("by_paper", "flag", "whether the best test error chooses this learning rate", "chosen by test"),
    Column("by_held_out", "flag", "whether the best validation error chooses it", "chosen by validation"),
    Column("flatters", "number", "of the learning rate that test errors chose: mean error of the further seeds minus "
           "the error that chose it, percentage points: how much choosing on test images flatters",
           "optimism", "+z.2f"),
    Column("because", "text", "why a row is refused"),
)  # fmt: skip

CLAIMS = (
    Column("claim", "count", "number of the claim, 1 to 14", "claim", "d"),
    Column("sentence", "text", "the claim, of the paper or of a study of your own", "in words", once=True),
    Column("rule", "text", "how learning rates were chosen", "learning rate by"),
    Column("comparison", "text", "the difference that decides", "comparison"),
    Column("holds_when", "text", "where the difference must lie, percentage points", "holds when"),
    Column("effect", "number", "the difference found, percentage points", "effect", "+z.2f"),
    Column("low", "number", "lower end of its 95 % confidence interval"),
    Column("high", "number", "upper end"),
    Column("interval", "text", "what the interval measures"),
    Column("n", "count", "runs, or pairs of runs, behind it", "n", "d"),
    Column("p", "number", "p-value of the comparison holding (one-sided; two one-sided for a range), after Holm over "
           "all comparisons of the table by one rule, each counted once", "p", ".3g"),
    Column("p_against", "number", "p-value of the opposite, adjusted in the same way"),
    Column("comparison_verdict", "text", "holds, contradicted, inconclusive, refused, not run or not comparable",
           "comparison's verdict"),
    Column("verdict", "text", "of the whole claim: holds when every comparison does; 'at this scale' where the "
           "networks are smaller than the paper's", "claim's verdict"),
    Column("because", "text", "the verdict in a sentence"),
    Column("runs", "text", "ids of the runs on both sides, separated by blanks"),
)  # fmt: skip

BASELINES = (
    Column("panel", "text", "part of Table 4", "panel", once=True),
    Column("method", "text", "as the paper names it", "method"),
    Column("source", "text", "publication, or whose number this is", "source"),
    Column("error", "number", "test error, percent", "error %", PERCENT),
    Column("low", "number", "lower end of the 95 % confidence interval, ours alone"),
    Column("high", "number", "upper end"),
    Column("seeds", "count", "finished runs, ours alone", "seeds", "d"),
    Column("parameters", "text", "as printed, or counted", "parameters"),
    Column("support", "text", "how the number is known", "evidence"),
    Column("verdict", "text", "of our row", "verdict"),
)  # fmt: skip

READINGS = (
    Column("width", "text", "of the networks, 1 is the paper's", "width"),
    Column("initialization", "text", "how weights start", "initialization"),
    Column("score_bias", "number", "at what the biases of the class scores start", "score biases", "g"),
    Column("batch", "count", "images per update", "batch", "d"),
    Column("networks", "count", "networks trained by this reading", "networks", "d"),
    Column("runs", "count", "runs that came out: network x learning rate x seed", "runs", "d"),
    Column("whole", "flag", "whether the networks that all readings share have come out at every learning rate",
           "whole"),
    Column("left", "count", "runs that left the plateau: training loss of the last epoch below 2.2 nats",
           "left plateau", "d"),
    Column("left_share", "number", "left / runs"),
    Column("loss", "number", "mean training loss of the last epoch in nats; ln(classes) where a run diverged or did "
           "not learn", "mean loss", ".3f"),
    *(Column(f"lr_{lr:g}", "text", f"at learning rate {lr:g}: how many left the plateau", f"at {lr:g}")
      for lr in LEARNING_RATES),
)  # fmt: skip

REPLICATIONS = (
    Column("at", "text", "when the run was compared, UTC", "when"),
    Column("network", "text", "name of the network", "network"),
    Column("dataset", "text", "data set", "data"),
    Column("lr", "number", "learning rate", "learning rate", "g"),
    Column("augmented", "flag", "whether its training images are varied", "augmented"),
    Column("seed", "count", "seed of the original and of the replication", "seed", "d"),
    Column("comparison", "text", "same bits (of the weights), same counts (of errors), within noise, or drifted",
           "came out"),
    Column("because", "text", "that in a sentence"),
    Column("original_error", "number", "test error of the original, percent", "original %", PERCENT),
    Column("error", "number", "test error of the replication, percent", "again %", PERCENT),
    Column("difference", "number", "replication minus original, percentage points", "difference", "+z.2f"),
    Column("noise", "number", "up to how far two runs lie apart by chance, percentage points (95 %)", "by chance",
           PERCENT),
    Column("noise_of", "text", "what that was measured on: seeds, or the number of test images", "measured on"),
    Column("torch", "text", "versions that trained the replication", "torch"),
    Column("processor", "text", "processors or GPUs that trained it", "on"),
    Column("host", "text", "machines that trained it"),
    Column("commit", "text", "commits of the code that trained it, with a + where it had changes", "commit"),
    Column("original_torch", "text", "versions that trained the original", "original torch"),
    Column("original_processor", "text", "processors or GPUs that trained the original"),
    Column("original_commit", "text", "commits that trained the original", "original commit"),
    Column("model_sha256", "text", "digest of the replication's weights"),
    Column("run", "text", "id of the run"),
)  # fmt: skip

TABLES = {
    "cells": CELLS,
    "rates": RATES,
    "claims": CLAIMS,
    "neighbours": BASELINES,
    "readings": READINGS,
    "replications": REPLICATIONS,
}
FILES = {
    "cells": "table",
    "rates": "rates",
    "claims": "claims",
    "neighbours": "neighbours",
    "readings": "table",
    "replications": "replications",
}  # their names in the store; study `readings` has no other table


def rule_words(rules: str) -> str:
    """Rules of choosing a learning rate as people read them; tables keep the names that schedule.py gives them."""
    return rules.replace("held-out", "validation")


def described() -> dict:
    """The schema as JSON."""
    return {"schema": SCHEMA, "tables": {kind: [asdict(column) for column in TABLES[kind]] for kind in TABLES}}
