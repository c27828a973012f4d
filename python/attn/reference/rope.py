# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Rotary position embedding."""

import numpy as np


def rope(x, cos, sin, interleaved=False):
    """Rotates pairs of features.

    x         [B, H, S, D]
    cos, sin  [S, R/2] or [B, S, R/2], B may be 1; features from R on pass

    Each pair is a complex number that is multiplied by exp(i * angle):
    features f and f + R/2, or 2f and 2f + 1 when interleaved. Source:
    arXiv:2104.09864 section 3.2.2.
    """
    x = np.asarray(x, np.float64)
    turn = np.asarray(cos, np.float64) + 1j * np.asarray(sin, np.float64)
    turn = turn[:, None] if turn.ndim == 3 else turn[None, None]
    half = turn.shape[-1]
    if interleaved:
        first, second = np.arange(0, 2 * half, 2), np.arange(1, 2 * half, 2)
    else:
        first, second = np.arange(half), np.arange(half, 2 * half)
    turned = (x[..., first] + 1j * x[..., second]) * turn
    result = x.copy()
    result[..., first] = turned.real
    result[..., second] = turned.imag
    return result
