# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rows that heads work on."""

import numpy as np


def scatter_rows(rows_in, rows, counts, weights, init):
    """Adds weighted rows to their places, in the order of the list.

    rows_in  [B, H, N, D]
    rows     [B, H or 1, N], row of `init` that each entry goes to
    counts   [B, H or 1], entries that count
    weights  [B, H or 1, N], or None for ones
    init     [B, H, S, D]

    Entries past the count, and those whose row does not exist, add nothing.
    arXiv:2410.11842 equation 5.
    """
    result = np.array(init, np.float64)
    for b, h, n in np.ndindex(*rows_in.shape[:3]):
        g = h if rows.shape[1] > 1 else 0
        row = rows[b, g, n]
        if n < counts[b, g] and 0 <= row < result.shape[2]:
            weight = 1.0 if weights is None else weights[b, g, n]
            result[b, h, row] += weight * np.asarray(rows_in[b, h, n], np.float64)
    return result
