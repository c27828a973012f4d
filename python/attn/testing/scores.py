# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Score regions of attn.attention, as MLIR text and in NumPy.

A kind has operands, the code of the region and the same in NumPy on one row:
scores of the keys `j`, the row `i` and its position `p`. Distances are those of
keys from positions, or from rows where a table has an entry for each of them.
"""

from dataclasses import dataclass
from typing import Callable

import numpy as np

ARGUMENTS = "%s: {t}, %b: index, %h: index, %row: index, %position: index, %key: index"


@dataclass(frozen=True)
class Kind:
    """`operands` are lists of dimensions: letters, or functions of the sizes.
    `gain` bounds how much an error of the score grows; `added` is what is added
    to it, given the largest distance."""

    code: str
    function: Callable
    operands: tuple = ()
    gain: Callable = lambda operands: 1.0
    added: Callable = lambda operands, distance: 0.0


def largest(x):
    return np.max(np.abs(x), initial=0)


KINDS = {
    # arXiv:2108.12409
    "alibi": Kind(
        """
        %slope = tensor.extract %t0[%h] : {t0}
        %apart = arith.subi %key, %position : index
        %int = arith.index_cast %apart : index to i32
        %distance = arith.sitofp %int : i32 to {t}
        %extra = arith.mulf %slope, %distance : {t}
        %t = arith.addf %s, %extra : {t}""",
        lambda s, x, b, h, i, p, j: s + x[0][h] * (j - p),
        operands=(("H",),),
        added=lambda x, distance: distance * largest(x[0]),
    ),
    # arXiv:1910.10683: distances past the last bucket share it.
    "buckets": Kind(
        """
        %apart = arith.subi %key, %position : index
        %least = arith.constant -2 : index
        %most = arith.constant 2 : index
        %low = arith.maxsi %apart, %least : index
        %near = arith.minsi %low, %most : index
        %at = arith.addi %near, %most : index
        %extra = tensor.extract %t0[%at, %h] : {t0}
        %t = arith.addf %s, %extra : {t}""",
        lambda s, x, b, h, i, p, j: s + x[0][np.clip(j - p, -2, 2) + 2, h],
        operands=((lambda sizes: 5, "H"),),
        added=lambda x, distance: largest(x[0]),
    ),
    # arXiv:1901.02860: a product of each row with each distance.
    "shift": Kind(
        """
        %length = arith.constant {S} : index
        %apart = arith.subi %key, %row : index
        %at = arith.addi %apart, %length : index
        %extra = tensor.extract %t0[%b, %h, %row, %at] : {t0}
        %t = arith.addf %s, %extra : {t}""",
        lambda s, x, b, h, i, p, j: s + x[0][b, h, i, j - i + x[0].shape[2]],
        operands=(("B", "H", "S", lambda sizes: sizes["S"] + sizes["K"]),),
        added=lambda x, distance: largest(x[0]),
    ),
    # arXiv:2010.04245: a temperature for each head; and a weight for each key.
    "temperature": Kind(
        """
        %temperature = tensor.extract %t0[%h] : {t0}
        %weight = tensor.extract %t1[%b, %key] : {t1}
        %scaled = arith.mulf %s, %temperature : {t}
        %t = arith.addf %scaled, %weight : {t}""",
        lambda s, x, b, h, i, p, j: s * x[0][h] + x[1][b, j],
        operands=(("H",), ("B", "K")),
        gain=lambda x: 1 + largest(x[0]),
        added=lambda x, distance: largest(x[1]),
    ),
    "tanh": Kind(
        """
        %t = math.tanh %s : {t}""",
        lambda s, x, b, h, i, p, j: np.tanh(s),
        added=lambda x, distance: 4.0,
    ),
    # Rows without keys, and keys that a region hides.
    "stripes": Kind(
        """
        %three = arith.constant 3 : index
        %zero = arith.constant 0 : index
        %sum = arith.addi %row, %key : index
        %left = arith.remsi %sum, %three : index
        %seen = arith.cmpi eq, %left, %zero : index
        %none = arith.constant 0x{inf} : {t}
        %t = arith.select %seen, %s, %none : {t}""",
        lambda s, x, b, h, i, p, j: np.where((i + j) % 3 == 0, s, -np.inf),
    ),
    # What it makes of hidden pairs does not matter.
    "nan_future": Kind(
        """
        %future = arith.cmpi sgt, %key, %position : index
        %none = arith.constant 0x{nan} : {t}
        %t = arith.select %future, %none, %s : {t}""",
        lambda s, x, b, h, i, p, j: np.where(j > p, np.nan, s),
    ),
}
NUMBERS = {
    "f64": {"inf": "FFF0000000000000", "nan": "7FF8000000000000"},
    "f32": {"inf": "FF800000", "nan": "7FC00000"},
}


def operands(name, sizes):
    """The dimensions of each tensor that the kind reads."""
    return [
        tuple(d if isinstance(d, str) else d(sizes) for d in dims)
        for dims in KINDS[name].operands
    ]


def text(name, dtype, types, sizes):
    """The clause of the operation; `types` are those of the operands."""
    code = KINDS[name].code.format(
        t=dtype, **NUMBERS[dtype], **sizes, **{f"t{i}": type for i, type in enumerate(types)}
    )
    return f"score({ARGUMENTS.format(t=dtype)}) {{{code}\n        attn.yield %t : {dtype}\n  }}"
