"""A QR code as lines of text for a terminal, two rows of modules to a line."""

from itertools import zip_longest

import segno

_QUIET_ZONE = 2
_HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
# White on black whatever the terminal's colours are: many cameras do not read a code in negative.
_BEGIN, _END = "\x1b[38;5;231;48;5;16m", "\x1b[0m"


def qr_lines(text: str) -> list[str]:
    """The code; a full block is a light module, a space a dark one."""
    rows = [list(row) for row in segno.make_qr(text).matrix_iter(border=_QUIET_ZONE)]
    pairs = zip_longest(rows[0::2], rows[1::2], fillvalue=[0] * len(rows[0]))
    return ["".join(_HALVES[halves] for halves in zip(*pair, strict=True)) for pair in pairs]


def qr_for_terminal(text: str) -> str:
    """The code with its colours, ready to be printed."""
    return "\n".join(f"{_BEGIN}{line}{_END}" for line in qr_lines(text))
