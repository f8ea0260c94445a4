"""Which pictures show what a run has learned. Their names follow from what they show: a name that is there is done."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from pipeline.errors import UserError, unknown_name
from pipeline.paper.networks import Network
from pipeline.paper.receptive_fields import receptive_fields
from pipeline.paper.relu_rules import RULES
from pipeline.paper.shapes import multiplications
from pipeline.plan.experiment import Experiment
from pipeline.plan.schedule import Cell, cell, chosen_learning_rates
from pipeline.plan.studies import Study
from pipeline.records.result import Digests, Result
from pipeline.store.objects import Store
from pipeline.store.paths import RunFolder

DRAWING = 1  # raise it when the same picture would come out otherwise
PATTERN_LAYERS = 3  # Figure 2 has three
LARGEST_IMAGES = 4  # as Figures 4 to 6 have
BLOCK = 100  # images on one sheet of maps
MOST_IMAGES = 10_000_000  # that a request may count up to: no data set here has as many
PARTS = ("test", "train")
PRECISIONS = ("float32", "bfloat16")
KINDS = ("patterns", "strongest", "largest", "maps", "sanity")


@dataclass(frozen=True)
class Picture:
    """One sheet: everything that decides what is on it, the run's weights and data left out."""

    kind: str
    layer: str = ""  # conv1 and on; scores for the class scores
    method: str = ""  # a rule of Figure 1c, or image for the pixels beside it; nothing where a sheet has several
    methods: tuple[str, ...] = ()  # where it has
    switches: bool = True
    channels: int = 0
    top: int = 0  # patches of a channel
    part: str = "test"  # of the data set, that these come from
    images: int | tuple[int, ...] = ()  # test images; a number: as many, of every class in turn
    precision: str = "float32"

    def name(self, digests: Digests) -> str:
        """Readable first, unique last, as the run's digests make it: strongest.conv4.guided.1f2e3d4c"""
        spec = json.dumps([DRAWING, asdict(self), digests.model, digests.dataset], sort_keys=True)
        key = hashlib.sha256(spec.encode()).hexdigest()[:8]
        block = f"{self.images[0]:05d}-{self.images[-1]:05d}" if isinstance(self.images, tuple) and self.images else ""
        pools = "" if self.switches else "no-switches"
        of = "" if self.part == "test" else self.part
        return ".".join(word for word in (self.kind, self.layer, of, pools, block, self.method, key) if word)


def picture(plain: dict) -> Picture:
    """The picture that `plain`, come through JSON, describes."""
    images = plain["images"] if isinstance(plain["images"], int) else tuple(plain["images"])
    return Picture(**plain | {"methods": tuple(plain["methods"]), "images": images})


@dataclass(frozen=True)
class RenderRequest:
    """What is to be seen of every run."""

    images: int | tuple[int, ...] = 10  # test images to map; a number: as many, of every class in turn
    layers: tuple[str, ...] | None = None  # of the top-activating patches; None: half and three quarters of the way
    channels: int = 8  # most active ones of each
    top: int = 10
    part: str = "test"  # of the data set, whose patches these are; train is the other
    methods: tuple[str, ...] = tuple(RULES)
    sanity: int = 16  # test images whose maps are compared with those of a network made random
    precision: str = "float32"
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self):
        for what, words, known in (
            ("method", self.methods, RULES),
            ("kind", self.kinds, KINDS),
            ("part", (self.part,), PARTS),
        ):
            for word in words:
                if word not in known:
                    raise unknown_name(what, word, known)
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if isinstance(self.images, int) and not 1 <= self.images <= BLOCK:
            raise UserError(
                f"--images {self.images}: a number lies between 1 and {BLOCK}; for more images write a range, 0:1000"
            )
        if not 1 <= self.top <= 100:
            raise UserError(f"--top {self.top}: a number of patches lies between 1 and 100")
        if not 1 <= self.channels <= 1000:
            raise UserError(f"--channels {self.channels}: a number of channels lies between 1 and 1000")
        if not self.methods:
            raise UserError("--methods names no method")


REPRODUCTION = RenderRequest(channels=4, sanity=4)  # what `strive reproduce` draws; `strive figures` draws more


def pictures(network: Network, wanted: RenderRequest) -> list[Picture]:
    """Every picture of a run with this network."""
    known, of = receptive_fields(network), []
    chosen = dict.fromkeys(wanted.layers or _default_layers(list(known)))
    methods = tuple(dict.fromkeys(wanted.methods))
    views = ("image", *methods)
    for kind in wanted.kinds:
        match kind:
            case "patterns":
                of += [Picture(kind, name, "deconvnet") for name in list(known)[:PATTERN_LAYERS]]
            case "strongest":
                for name in (name for name in chosen if name in known):
                    one = Picture(kind, name, channels=wanted.channels, top=wanted.top, part=wanted.part)
                    of += [replace(one, method=view) for view in views]
            case "largest":
                for name in (list(known)[-1], "scores"):
                    one = Picture(kind, name, methods=methods, images=LARGEST_IMAGES)
                    of += [one, replace(one, switches=False)]
            case "maps":
                of += [
                    Picture(kind, "scores", view, images=block) for block in _blocks(wanted.images) for view in views
                ]
            case "sanity":
                of += [Picture(kind, "scores", methods=methods, images=wanted.sanity)]
    return [replace(picture, precision=wanted.precision) for picture in of]


def _default_layers(names: list[str]) -> tuple[str, ...]:
    """Of the ImageNet network's twelve these are the paper's conv6 and conv9 (Figure 3)."""
    return names[round(len(names) / 2) - 1], names[round(len(names) * 3 / 4) - 1]


def _blocks(images: int | tuple[int, ...]) -> Sequence[int | tuple[int, ...]]:
    """Images on a sheet each, cut where the data set's hundreds end: a longer list finds the same sheets again."""
    if isinstance(images, int):
        return [images]
    blocks: dict[int, list[int]] = {}
    for image in sorted(set(images)):
        blocks.setdefault(image // BLOCK, []).append(image)
    return [tuple(block) for block in blocks.values()]


def runs_of(study: Study) -> list[Experiment]:
    """Every run that a number of the study may come from, its parts' included."""
    return list(dict.fromkeys([*study.experiments, *(e for part in study.parts for e in runs_of(part))]))


def chosen_runs(study: Study, results: Mapping[str, Result]) -> list[Experiment]:
    """One finished run for every number of the study's table: the chosen rate's, and of its seeds the lowest."""
    if study.parts:
        return list(dict.fromkeys(e for part in study.answering_parts for e in chosen_runs(part, results)))
    chosen = chosen_learning_rates(study, results, "paper")
    best: dict[Cell, Experiment] = {}
    done = [e for e in study.experiments if e.id in results and results[e.id].outcome == "done"]
    for e in sorted(done, key=lambda e: e.seed):
        if e.recipe.lr == chosen.get(cell(e), e.recipe.lr):
            best.setdefault(cell(e), e)
    order = list(dict.fromkeys(cell(e) for e in study.experiments))
    return [best[c] for c in order if c in best]


def check_request(experiments: Sequence[Experiment], wanted: RenderRequest) -> None:
    """Refused when no network has a layer, or a data set too few test images."""
    known = list(dict.fromkeys(name for e in experiments for name in receptive_fields(e.network)))
    for name in wanted.layers or ():
        if name not in known:
            raise unknown_name("layer", name, known)
    last = max(wanted.images) if isinstance(wanted.images, tuple) else wanted.images - 1
    for experiment in experiments:
        if last >= experiment.dataset.test:
            raise UserError(
                f"{experiment.dataset.name} has {experiment.dataset.test} test images, 0 to "
                f"{experiment.dataset.test - 1}: there is no image {last} to show"
            )


def missing(store: Store, experiment: Experiment, digests: Digests, wanted: RenderRequest) -> list[Picture]:
    """The pictures that the store does not hold yet; a picture's note is written last."""
    there = set(store.names(RunFolder(experiment.id).figures))
    return [p for p in pictures(experiment.network, wanted) if f"{p.name(digests)}.json" not in there]


def flops(experiment: Experiment, pictures: Sequence[Picture]) -> int:
    """Floating-point operations of rendering these, forward and back."""
    forward = 2 * multiplications(experiment.network)
    out, passes = 0, set()
    for picture in pictures:
        count = picture.images if isinstance(picture.images, int) else len(picture.images)
        match picture.kind:
            case "patterns":
                out += 2 * forward * receptive_fields(experiment.network)[picture.layer].conv.width
            case "strongest":
                passes.add(
                    getattr(experiment.dataset, picture.part) * forward
                )  # one pass over the data serves all layers
                out += 2 * forward * picture.channels * picture.top * (picture.method != "image")
            case "sanity":
                out += count * forward * len(receptive_fields(experiment.network)) * (1 + len(picture.methods))
            case _:
                out += count * forward * (1 + len(picture.methods or "1"))
    return out + sum(passes)


def parse_images(text: str) -> int | tuple[int, ...]:
    """`10` for as many, of every class in turn; `0:1000` (with or without a step) and `3,17,200:300` for these."""
    if text.isdecimal():
        return int(text)
    out: list[int] = []
    for part in text.split(","):
        if not re.fullmatch(r"\d+(:\d+(:[1-9]\d*)?)?", part.strip()):
            raise UserError(f"--images takes a number (10), a range (0:1000) or a list (3,17,200:300), not {text!r}")
        begin, *rest = numbers = [int(number) for number in part.split(":")]
        if (largest := max(numbers)) > MOST_IMAGES:  # before a list of them fills the memory
            raise UserError(f"--images {text}: no data set has {largest:,} images, ask for fewer")
        out += range(begin, *rest) if rest else [begin]
    if not out:
        raise UserError(f"--images {text} names no image: a range 0:1000 begins with 0 and ends before 1000")
    return tuple(dict.fromkeys(out))
