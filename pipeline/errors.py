"""The errors that are meant for the person at the keyboard: what is wrong, where, and what to do about it."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A request that cannot be met as it stands. Nothing was changed."""


class UnknownName(UserError):
    """A name that stands for nothing."""


class StoreError(OSError):
    """A store did not do what was asked. The message is one sentence: which store, why, and what to do."""


class StoreAway(StoreError):
    """A store that has not answered for as long as it was waited for; it may answer later."""


class StoreRefused(StoreError):
    """A store that answers and refuses: another try would fail in the same way."""


def unknown_name(kind: str, word: str, known: Iterable[str], listed: str = "") -> UnknownName:
    """An unknown name, answered with the nearest known ones, else with what lists them, where they are many."""
    names = list(known)
    text = word.strip().lower()
    begun = [name for name in names if text and name.startswith(text)]
    near = begun[:3] or get_close_matches(text, names, n=3, cutoff=0.55)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    others = listed or f"Known: {', '.join(names[:5])}{more}."
    hint = f"Did you mean {' or '.join(near)}?" if near else others
    return UnknownName(f"unknown {kind} {word!r}. {hint}")


def known_name(kind: str, word: str, known: Iterable[str]) -> str:
    """The known name that `word` is, in any case; UserError where it is none. Names are never abbreviated."""
    names, text = list(known), word.strip().lower()
    if text not in names:
        raise unknown_name(kind, word, names)
    return text
