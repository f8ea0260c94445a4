"""The paper's fourteen claims held against our runs: each comparison tested, all of them together adjusted by Holm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.paper.networks import NETWORKS
from pipeline.paper.shapes import parameters
from pipeline.paper.statements import STATEMENTS, Comparison, Published, Setting, Statement
from pipeline.plan.choose import RULES, Cell
from pipeline.plan.studies import Study
from pipeline.runs.tables.cells import ONE_RATE, answering, chosen, mixed
from pipeline.runs.tables.intervals import Count, Difference, between, from_number, holm
from pipeline.runs.tables.results import counts
from pipeline.runs.tables.verdicts import SEEDS_NEEDED, SIGNIFICANT

Errors = Mapping[Setting, Mapping[int, Count]]  # by seed, at the chosen rate


@dataclass(frozen=True)
class Tested:
    """One comparison as it came out; `difference` is None while a side has no finished run."""

    comparison: Comparison
    difference: Difference | None
    p: float | None = None
    p_against: float | None = None

    @property
    def verdict(self) -> str:
        if self.difference is None or self.p is None or self.p_against is None:
            return "not run"
        if self.difference.n < SEEDS_NEEDED:
            return "inconclusive"  # few runs, or those that others did not outlive, would flatter
        if self.p < SIGNIFICANT:
            return "holds"
        return "contradicted" if self.p_against < SIGNIFICANT else "inconclusive"


def errors(study: Study, results: dict[str, dict]) -> dict[str, dict[Cell, dict[int, Count]]]:
    """By rule and cell, the errors that stand for the cell; cells without any, or of mixed runs, are left out."""
    found: dict[str, dict[Cell, dict[int, Count]]] = {rule: {} for rule in RULES}
    for part in answering(study):
        for (this, rule), runs in chosen(part, results).items():
            if (done := counts(runs)) and not mixed(runs):
                for each in RULES if rule == ONE_RATE else (rule,):
                    found[each][this] = done
    return found


def decide(found: Errors) -> list[tuple[Statement, list[Tested]]]:
    """Every statement with its comparisons tested; a pure function of the errors."""
    tested = [(s, c, _difference(c, found)) for s in STATEMENTS for c in s.comparisons]
    made = [(c, d) for _, c, d in tested if d is not None]
    for_it = iter(holm([d.p_within(c.low, c.high) for c, d in made]))
    against = iter(holm([d.p_outside(c.low, c.high) for c, d in made]))
    out: dict[int, list[Tested]] = {s.number: [] for s in STATEMENTS}
    for s, c, d in tested:
        out[s.number].append(Tested(c, d) if d is None else Tested(c, d, next(for_it), next(against)))
    return [(s, out[s.number]) for s in STATEMENTS]


def settle(statement: Statement, tested: list[Tested], comparable: bool = True) -> tuple[str, str]:
    """The verdict on a claim, and one sentence."""
    if not statement.comparisons:
        return "no number", statement.remark
    if not comparable:
        return "not comparable", "another task or another schedule than the paper's: the effects are for orientation"
    small = _is_small(statement)
    verdicts = [t.verdict for t in tested]
    tally = ", ".join(f"{verdicts.count(v)} of {len(verdicts)} {v}" for v in dict.fromkeys(verdicts))
    said = f"comparisons: {tally}{'' if small is None else _counted(statement, small)}"
    if "contradicted" in verdicts or small is False:
        return "contradicted", said
    for verdict in ("not run", "inconclusive"):
        if verdict in verdicts:
            return verdict, said
    return "holds", said


def rows(study: Study, results: dict[str, dict]) -> list[dict[str, Any]]:
    """One row for each comparison by each rule, and one for a claim that no number decides."""
    out = []
    for rule, by_cell in _by_rule(study, results).items():
        for statement, tested in decide(by_cell):
            verdict, because = settle(statement, tested, study.comparable)
            claim = {"claim": statement.number, "sentence": statement.sentence, "rule": rule}
            ending = {"verdict": verdict, "because": ". ".join([because, *_remark(statement, because)])}
            out += [claim | _plain(t, study.comparable) | ending for t in tested] or [claim | ending]
    return sorted(out, key=lambda row: row["claim"])


def _by_rule(study: Study, results: dict[str, dict]) -> dict[str, dict[Setting, dict[int, Count]]]:
    """The errors by rule; one entry where no cell has a choice. Another task's cells stand in for CIFAR-10's."""
    by_rule = errors(study, results)
    if by_rule[RULES[0]] == by_rule[RULES[1]] and not any(p.search for p in study.parts or (study,)):
        by_rule = {ONE_RATE: by_rule[RULES[0]]}
    return {
        rule: {
            Setting(c.network, c.dataset if study.comparable else "cifar10", c.augmented): done
            for c, done in cells.items()
        }
        for rule, cells in by_rule.items()
    }


def _difference(comparison: Comparison, found: Errors) -> Difference | None:
    left, right = found.get(comparison.left), comparison.right
    if not left:
        return None
    if isinstance(right, Published):
        return from_number(list(left.values()), right.error)
    return between(left, found[right]) if found.get(right) else None


def _plain(tested: Tested, comparable: bool) -> dict[str, Any]:
    c, d = tested.comparison, tested.difference
    row = {"comparison": f"{_words(c.left)} - {_words(c.right)}", "holds_when": _range(c)}
    orienting = comparable or isinstance(c.right, Setting)  # another task's error has nothing to do with print
    if d is not None and orienting:
        row |= {"effect": d.estimate, "low": d.interval.low, "high": d.interval.high}
        row |= {"interval": d.interval.kind, "n": d.n, "p": tested.p, "p_against": tested.p_against}
    return row | {"comparison_verdict": tested.verdict if comparable or d is None else "not comparable"}


def _words(side: Setting | Published) -> str:
    if isinstance(side, Published):
        return f"{side.who} ({side.error:g})"
    more = [side.dataset] if side.dataset not in ("cifar10", "imagenet") else []
    return " ".join([side.network, *more, *(["augmented"] if side.augmented and side.dataset != "imagenet" else [])])


def _range(c: Comparison) -> str:
    if c.low is not None and c.high is not None:
        return f"between {_signed(c.low)} and {_signed(c.high)}"
    return f"below {_signed(c.high)}" if c.high is not None else f"above {_signed(c.low)}"


def _signed(bound: float | None) -> str:
    return f"{bound:+g}" if bound else "0"


def _is_small(statement: Statement) -> bool | None:
    if statement.smaller is None:
        return None
    network, most = statement.smaller
    return parameters(NETWORKS[network]) < most


def _counted(statement: Statement, small: bool) -> str:
    assert statement.smaller is not None
    network, most = statement.smaller
    count = parameters(NETWORKS[network])
    return f"; {count:,} parameters are {'' if small else 'not '}fewer than {most:,.0f}"


def _remark(statement: Statement, said: str) -> list[str]:
    return [statement.remark] if statement.remark and statement.remark != said else []
