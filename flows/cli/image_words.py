"""What words of `strive figures` stand for: lists, methods, images of one's own."""

import re
from pathlib import Path

from pipeline.errors import known_name
from pipeline.paper.relu_rules import RULES


def words(text: str | None) -> tuple[str, ...] | None:
    """A list with commas, each word once; None for none."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip())) if text else None


ALIASES = {  # what others call the methods
    "guided-backprop": "guided",
    "guided-backpropagation": "guided",
    "backpropagation": "backprop",
    "gradient": "backprop",
    "deconvolution": "deconvnet",
}


def method_names(text: str) -> tuple[str, ...]:
    """The methods in a list with commas, by any of their names; each once."""
    named = (ALIASES.get(word.lower(), word) for word in words(text) or ())
    return tuple(dict.fromkeys(known_name("method", word, RULES) for word in named))


def is_photograph(text: str) -> bool:
    """Whether a word names images of one's own, rather than test images by number."""
    return not re.fullmatch(r"[\d:, ]*", text) and ("/" in text or "." in text or Path(text).exists())
