"""The rows of the table of claims: each comparison behind the paper's fourteen claims is tested with our runs, and the
p-values of all comparisons are adjusted together by Holm's method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.evaluation.intervals import Difference, between, from_number, holm
from pipeline.evaluation.results import Run, counts
from pipeline.evaluation.table_errors import ONE_RATE, blocked_by, chosen, inconsistent
from pipeline.evaluation.verdicts import SEEDS_NEEDED, SIGNIFICANT
from pipeline.paper.claims import CLAIMS, Claim, Comparison, PrintedError, Setting
from pipeline.paper.networks import NETWORKS
from pipeline.paper.shapes import parameters
from pipeline.plan.schedule import RULES, Cell
from pipeline.plan.study import Relation, Study
from pipeline.records.result import Result

AT_THIS_SCALE = " at this scale"
AT_FULL_SCALE = (Relation.PAPER, Relation.OWN)  # numbers in print may be compared with
Sides = Mapping[Setting, Sequence[Run]]  # the runs with a result at the chosen learning rate


@dataclass(frozen=True)
class Tested:
    """One comparison as it came out; `difference` is None while a side has no finished run, or where `refused`."""

    comparison: Comparison
    difference: Difference | None
    runs: tuple[str, ...] = ()  # ids of both sides
    without_error: int = 0  # runs of both sides that diverged, crashed, did not learn or are at chance
    refused: str = ""  # why the runs of the two sides cannot be compared
    p: float | None = None
    p_against: float | None = None

    @property
    def verdict(self) -> str:
        if self.refused:
            return "refused"
        if self.difference is None or self.p is None or self.p_against is None:
            return "inconclusive" if self.without_error else "not run"
        if self.without_error or self.difference.n < SEEDS_NEEDED or self.difference.interval is None:
            return "inconclusive"  # few runs, those that outlived others, or equal ones would flatter
        if self.p < SIGNIFICANT:
            return "holds"
        return "contradicted" if self.p_against < SIGNIFICANT else "inconclusive"


def sides(study: Study, results: Mapping[str, Result]) -> dict[str, dict[Cell, list[Run]]]:
    """By rule and cell, the runs with a result at the chosen learning rate, or those because of which none is chosen;
    cells without any are left out."""
    found: dict[str, dict[Cell, list[Run]]] = {rule: {} for rule in RULES}
    for part in (*study.read_also, *study.answering_parts):
        for (this, rule), runs in chosen(part, results).items():
            if found_runs := [run for run in runs if run.result] or blocked_by(part, this, rule, results):
                for each in RULES if rule == ONE_RATE else (rule,):
                    found[each][this] = found_runs
    return found


def decide(
    found: Sides, relation: Relation = Relation.PAPER, claims: Sequence[Claim] = CLAIMS
) -> list[tuple[Claim, list[Tested]]]:
    """Every claim with its comparisons tested.

    A comparison that several claims rest on is one test among those that Holm adjusts. At a smaller scale than the
    paper's only comparisons of our own networks with each other are tested.
    """
    asked = {s: _askable(s, relation) for s in claims}
    tested = {c: _tested(c, found) for comparisons in asked.values() for c in comparisons}
    made = {c: t.difference for c, t in tested.items() if t.difference is not None}
    for_it = holm([d.p_within(c.low, c.high) for c, d in made.items()])
    against = holm([d.p_outside(c.low, c.high) for c, d in made.items()])
    for c, p, p_against in zip(made, for_it, against, strict=True):
        tested[c] = replace(tested[c], p=p, p_against=p_against)
    return [(s, [tested[c] for c in comparisons]) for s, comparisons in asked.items()]


def _askable(claim: Claim, relation: Relation) -> list[Comparison]:
    return [c for c in claim.comparisons if relation in AT_FULL_SCALE or isinstance(c.right, Setting)]


def claim_verdict(
    claim: Claim, tested: list[Tested], relation: Relation = Relation.PAPER, scale: str = ""
) -> tuple[str, str]:
    """The verdict on a claim, and one sentence; `scale` says in words how a study is smaller than the paper's."""
    if not claim.comparisons:
        return "no number", claim.remark
    if not tested:
        return "not comparable", "it is about numbers in print, and these networks are smaller than the paper's"
    verdict, said = _verdict(claim, tested, _is_small(claim) if relation in AT_FULL_SCALE else None)
    if relation in AT_FULL_SCALE:
        return verdict, said
    left_out = len(claim.comparisons) - len(tested)
    more = f"; comparisons with numbers in print are left out ({left_out})" if left_out else ""
    decided = verdict in ("holds", "contradicted")
    return f"{verdict}{AT_THIS_SCALE if decided else ''}", f"at {scale}: {said}{more}"


def _verdict(claim: Claim, tested: list[Tested], small: bool | None) -> tuple[str, str]:
    verdicts = [t.verdict for t in tested]
    tally = ", ".join(f"{verdicts.count(v)} of {len(verdicts)} {v}" for v in dict.fromkeys(verdicts))
    without_error, refused = max(t.without_error for t in tested), next((t.refused for t in tested if t.refused), "")
    said = "; ".join(
        [
            f"comparisons: {tally}",
            *([] if small is None else [_counted(claim, small)]),
            *(
                [f"{without_error} runs of one comparison have no error, and the others alone would flatter"]
                if without_error
                else []
            ),
            *([refused] if refused else []),
        ]
    )
    if "contradicted" in verdicts or small is False:
        return "contradicted", said
    for verdict in ("refused", "not run", "inconclusive"):
        if verdict in verdicts:
            return verdict, said
    return "holds", said


def claim_rows(study: Study, results: Mapping[str, Result]) -> list[dict[str, Any]]:
    """One row for each comparison by each rule, and one for a claim that no number decides; none on another task."""
    if not study.claims:
        return []
    out = []
    for rule, by_cell in _by_rule(study, results).items():
        for claim, tested in decide(by_cell, study.relation, study.claims):
            verdict, because = claim_verdict(claim, tested, study.relation, study.scale)
            about = {"claim": claim.number, "sentence": claim.sentence, "rule": rule}
            ending = {"verdict": verdict, "because": ". ".join([because, *_remark(claim, because)])}
            out += [about | _plain(t) | ending for t in tested] or [about | ending]
    return sorted(out, key=lambda row: row["claim"])


def _by_rule(study: Study, results: Mapping[str, Result]) -> dict[str, dict[Setting, list[Run]]]:
    """The runs by rule; one entry where no cell has a choice. At a smaller scale cells stand in for CIFAR-10's."""
    by_rule = sides(study, results)
    if by_rule[RULES[0]] == by_rule[RULES[1]] and not any(p.search for p in study.parts or (study,)):
        by_rule = {ONE_RATE: by_rule[RULES[0]]}
    return {
        rule: {
            Setting(c.network, c.dataset if study.comparable else "cifar10", c.augmented): runs
            for c, runs in cells.items()
        }
        for rule, cells in by_rule.items()
    }


def _tested(comparison: Comparison, found: Sides) -> Tested:
    """The comparison without its p-values, which need all the others."""
    left, right = found.get(comparison.left, ()), comparison.right
    others = () if isinstance(right, PrintedError) else found.get(right, ())
    both = [*left, *others]
    ids = tuple(run.experiment.id for run in both)
    without_error = len([run for run in both if run.count is None or run.at_chance])
    if refused := inconsistent(both):
        return Tested(comparison, None, ids, without_error, refused)
    mine, theirs = counts(left), counts(others)
    if isinstance(right, PrintedError):
        difference = from_number(list(mine.values()), right.error) if mine else None
    else:
        difference = between(mine, theirs) if mine and theirs else None
    return Tested(comparison, difference, ids, without_error)


def _plain(tested: Tested) -> dict[str, Any]:
    c, d = tested.comparison, tested.difference
    row: dict[str, Any] = {"comparison": f"{_words(c.left)} - {_words(c.right)}", "holds_when": _range(c)}
    row["runs"] = " ".join(tested.runs)
    if d is not None:
        row |= {"effect": d.estimate, "n": d.n, "p": tested.p, "p_against": tested.p_against}
        if d.interval:
            row |= {"low": d.interval.low, "high": d.interval.high, "interval": d.interval.kind}
    return row | {"comparison_verdict": tested.verdict}


def _words(side: Setting | PrintedError) -> str:
    if isinstance(side, PrintedError):
        return f"{side.who} ({side.error:g})"
    more = [side.dataset] if side.dataset not in ("cifar10", "imagenet") else []
    return " ".join([side.network, *more, *(["augmented"] if side.augmented and side.dataset != "imagenet" else [])])


def _range(c: Comparison) -> str:
    if c.low is not None and c.high is not None:
        return f"between {_signed(c.low)} and {_signed(c.high)}"
    return f"below {_signed(c.high)}" if c.high is not None else f"above {_signed(c.low)}"


def _signed(bound: float | None) -> str:
    return f"{bound:+g}" if bound else "0"


def _is_small(claim: Claim) -> bool | None:
    if claim.smaller is None:
        return None
    network, most = claim.smaller
    return parameters(NETWORKS[network]) < most


def _counted(claim: Claim, small: bool) -> str:
    assert claim.smaller is not None
    network, most = claim.smaller
    count = parameters(NETWORKS[network])
    return f"{count:,} parameters are {'' if small else 'not '}fewer than {most:,.0f}"


def _remark(claim: Claim, said: str) -> list[str]:
    return [claim.remark] if claim.remark and claim.remark != said else []
