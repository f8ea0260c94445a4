"""How this process treats memory that it has freed."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # names of mallopt(3)


def keep_freed() -> bool:
    """Keep freed memory for the next step rather than return it to the kernel, which would clear it page by page.

    A fifth of a narrow network's time otherwise. Only glibc can be told so; whether it was.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(
        mallopt(name, value) for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26))
    )
