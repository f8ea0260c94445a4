"""How an experiment is written as JSON, and so what its id is a hash of.

Every kind and field has a name here that never changes; classes and their fields may be renamed freely.
"""

from dataclasses import dataclass, field
from typing import Any

from pipeline.paper.augmentations import Crop, Distort, Shift
from pipeline.paper.layers import Conv, Dropout, Pool
from pipeline.paper.networks import Network
from pipeline.paper.recipes import Recipe, Scale, Whiten
from pipeline.plan.datasets import Dataset


@dataclass(frozen=True)
class Form:
    """How values of one class are written."""

    kind: type
    keys: dict[str, str]  # attribute -> key in JSON
    tag: str = ""  # written as "kind" where a field may hold several classes
    absent: dict[str, Any] = field(default_factory=dict)  # attributes newer than stored runs: left out at this value


def _form(kind: type, keys: str, tag: str = "", absent: dict[str, Any] | None = None, **renamed: str) -> Form:
    """`keys`, separated by spaces, are attributes written under their own names; `renamed` are attribute=key."""
    return Form(kind, {key: key for key in keys.split()} | renamed, tag, absent or {})


FORMS = (
    _form(Conv, "size width stride pad slope", "conv", relu="rectify"),
    _form(Pool, "size stride", "pool"),
    _form(Dropout, "", "drop", p="share"),
    _form(Whiten, "gcn_scale input_scale", "whiten", zca_epsilon="zca_ridge"),
    _form(Scale, "subtract divide", "scale"),
    _form(Shift, "pixels flip fill whitened", "shift"),
    _form(Distort, "field background stretch angle pixels contrast gradient", "distort", color="colour"),
    _form(Crop, "window mirror", "crop"),
    _form(Network, "name side layers channels"),
    _form(Dataset, "name side classes train test sha256 shard labels", absent={"labels": ()}),
    _form(
        Recipe,
        "lr epochs epoch_images lr_drops lr_decay batch momentum nesterov weight_decay preprocess augment "
        "plain_epochs score_bias streams",
        absent={"score_bias": 0.0, "streams": 1},
        initialization="initialise",
    ),
)
_BY_KIND = {form.kind: form for form in FORMS}
_BY_TAG = {form.tag: form for form in FORMS if form.tag}
_UNTAGGED = {"network": _BY_KIND[Network], "dataset": _BY_KIND[Dataset], "recipe": _BY_KIND[Recipe]}


def plain(value: Any, form: Form | None = None) -> Any:
    """The value as JSON holds it; `form` is needed only for a class that FORMS does not list."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if (form := form or _BY_KIND.get(type(value))) is None:
        return value
    present = {name: key for name, key in form.keys.items() if getattr(value, name) != form.absent.get(name, _NOTHING)}
    tag = {"kind": form.tag} if form.tag else {}
    return tag | {key: plain(getattr(value, name)) for name, key in present.items()}


def untagged(value: Any) -> dict:
    """One value of a class in FORMS as JSON holds it, without its tag."""
    return {key: item for key, item in plain(value).items() if key != "kind"}


def read(value: Any, form: Form | None = None) -> Any:
    """What `plain` wrote; TypeError or KeyError where it is of another version."""
    if isinstance(value, list):
        return tuple(read(item) for item in value)
    if not isinstance(value, dict):
        return value
    form = form or _BY_TAG[value["kind"]]
    names = {key: name for name, key in form.keys.items()}
    fields = {key: item for key, item in value.items() if key != "kind" or not form.tag}
    return form.kind(**{names[key]: read(item, _UNTAGGED.get(key)) for key, item in fields.items()})


def read_dataset(value: dict[str, Any]) -> Dataset:
    """The data set of which `untagged` gave this."""
    found = read(value, _UNTAGGED["dataset"])
    assert isinstance(found, Dataset)
    return found


_NOTHING = object()
