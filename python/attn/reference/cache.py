# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The key/value cache."""

import numpy as np


def kv_append(cache, update, at=None, circular=False, page_table=None):
    """New rows join a cache.

    cache   [B, Hkv, L, D]
    update  [B, Hkv, S, D]
    at      [B]: row s of entry b goes to row at[b] + s, modulo L when
            circular; rows outside of the cache are dropped. Or [B, Hl]:
            consecutive heads share one of Hl rows.

    Without `at` the result is longer: [B, Hkv, L + S, D]. Rows are written
    one after the other, so that the last one to reach a place stays.

    With `page_table` [B, NP] the cache is a pool [P, Hkv, page_size, D] and
    row r of entry b is row r % page_size of page page_table[b, r //
    page_size]; rows without a page are dropped.
    """
    if at is None:
        return np.concatenate([cache, update], axis=2)
    at = np.asarray(at)
    at = at[:, None] if at.ndim == 1 else at
    at = np.repeat(at, update.shape[1] // at.shape[1], axis=1)
    if page_table is not None:
        return _append_to_pages(cache, update, at, circular, page_table)
    result = cache.copy()
    length = cache.shape[2]
    for b, h, s in np.ndindex(update.shape[:3]):
        row = int(at[b, h]) + s
        if circular and length:
            row %= length
        if 0 <= row < length:
            result[b, h, row] = update[b, h, s]
    return result


def _append_to_pages(pool, update, at, circular, page_table):
    result = pool.copy()
    pages, _, size, _ = pool.shape
    length = page_table.shape[1] * size
    for b, h, s in np.ndindex(update.shape[:3]):
        row = int(at[b, h]) + s
        if circular and length:
            row %= length
        if not 0 <= row < length:
            continue
        page = int(page_table[b, row // size])
        if 0 <= page < pages:
            result[page, h, row % size] = update[b, h, s]
    return result
