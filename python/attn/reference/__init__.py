# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the operations of the attn dialect mean, in plain NumPy.

Written from the formulas of the papers, in float64 and without regard to
speed, to be compared with what the compiler produces.
"""

from .attention import attention
from .cache import kv_append
from .linear import linear_attention, local_linear_attention, monotonic_align
from .merge import merge
from .rope import rope
from .routing import scatter_rows

__all__ = [
    "attention",
    "kv_append",
    "linear_attention",
    "local_linear_attention",
    "merge",
    "monotonic_align",
    "rope",
    "scatter_rows",
]
