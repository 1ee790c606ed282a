"""How many of something there are, in words."""

from __future__ import annotations


def count_of(number: int, one: str, several: str = "", *, thousands: bool = False) -> str:
    """A number and what is counted, in the singular or the plural.

    Args:
        number: how many.
        one: what one of them is called.
        several: what several are called; "": with an "s", or an "es" after an "s".
        thousands: separate thousands by commas.

    Example:
        >>> from poc_aug.counting import count_of
        >>> count_of(1, "record"), count_of(0, "record"), count_of(2, "class"), count_of(1200, "key", thousands=True)
        ('1 record', '0 records', '2 classes', '1,200 keys')
        >>> count_of(2, "entry", "entries")
        '2 entries'
    """
    name = one if number == 1 else several or one + ("es" if one.endswith("s") else "s")
    return f"{number:,} {name}" if thousands else f"{number} {name}"
