"""What is wrong with an object of the store, what that means, and what fixes it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TRAIN_AGAIN = "the damaged files are set aside and `strive reproduce` trains the run again, from its last checkpoint"

GONE = "it is gone"


@dataclass(frozen=True)
class Fault:
    """One damaged object. The last four fields are what `--repair` does; none of them loses a computed number."""

    address: str
    what: str
    means: str
    fix: str
    remove: tuple[str, ...] = ()  # paths of what is made again from other objects
    aside: tuple[str, ...] = ()  # paths of what training computed: kept in the folder `damaged`
    write: Mapping[str, bytes] = field(default_factory=dict)  # by path, what follows from the plan or an edition
    again: str = ""  # the run that is trained again

    @property
    def can_be_fixed(self) -> bool:
        return bool(self.remove or self.aside or self.write or self.again)

    @property
    def is_made_again(self) -> bool:
        """Whether nothing is left to repair: the object is gone, and `strive reproduce` makes it."""
        return self.what == GONE and not (self.aside or self.write or self.again)

    def plain(self) -> dict[str, str]:
        """As `--json` prints it."""
        return {"address": self.address, "what": self.what, "means": self.means, "fix": self.fix}


def reason(error: Exception, address: str) -> str:
    """What a DamagedRecord says after the address: `it is not JSON`."""
    return str(error).removeprefix(f"{address} is damaged: ").split(". ")[0]
