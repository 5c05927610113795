# SPDX-License-Identifier: Apache-2.0
"""Which runs may be compared. On shared machines the cost of a cache line between two cores flips within seconds between
"near" and several times that, and every vhost figure with it. So the round trip is measured between runs, while all
switches stand still, and two runs make a pair only if all four figures around them are alike."""

ALIKE = 1.6  # Within one state the round trip varies by less; between states by two and more.


def is_steady(*figures):
    """True if these round trips belong to one state."""
    return max(figures) <= ALIKE * min(figures)


def state(figures, smallest):
    """`near`, `far`, or `changing` for the round trips around a run; `smallest`: the smallest seen on this machine."""
    if not is_steady(*figures):
        return "changing"
    return "near" if max(figures) <= ALIKE * smallest else "far"


def are_alike(one, other):
    """True if two runs, given the round trips before and after each, may be compared."""
    return is_steady(*one, *other)
