# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The key/value cache."""

import numpy as np


def kv_append(cache, update, at=None, circular=False):
    """New rows join a cache.

    cache   [B, Hkv, L, D]
    update  [B, Hkv, S, D]
    at      [B]: row s of entry b goes to row at[b] + s, modulo L when
            circular; rows outside of the cache are dropped

    Without `at` the result is longer: [B, Hkv, L + S, D]. Rows are written
    one after the other, so that the last one to reach a place stays.
    """
    if at is None:
        return np.concatenate([cache, update], axis=2)
    result = cache.copy()
    length = cache.shape[2]
    for b in range(cache.shape[0]):
        for s in range(update.shape[2]):
            row = int(at[b]) + s
            if circular and length:
                row %= length
            if 0 <= row < length:
                result[b, :, row] = update[b, :, s]
    return result
