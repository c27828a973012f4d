# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which (query, key) pairs each mask kind keeps.

`query` and `key` are arrays of positions that broadcast against each other;
query row i stands at position i + query_offset, key row j at j.
"""

import numpy as np


def causal(query, key):
    """Keys at or before the query."""
    return key <= query


def window(query, key, left, right, block=1):
    """At most `left` keys before and `right` keys after the query's own; -1
    leaves a side open. arXiv:2004.05150 section 3.1. All in blocks of `block`
    positions."""
    distance = np.asarray(key) // block - np.asarray(query) // block
    kept = np.ones(np.shape(distance), bool)
    if left != -1:
        kept &= distance >= -left
    if right != -1:
        kept &= distance <= right
    return kept


def sink(query, key, size):
    """The first `size` keys. arXiv:2309.17453."""
    return np.broadcast_to(np.asarray(key) < size, np.broadcast(query, key).shape)


def strided(query, key, stride, block, phase, anchor):
    """Every stride-th block of keys, counted from the query's block (anchor
    'query', arXiv:1904.10509 section 4.2) or from key 0 (anchor 'origin',
    arXiv:2407.17678). Python's // and % round down, which is meant."""
    number = np.asarray(key) // block + 0 * np.asarray(query)
    if anchor == "query":
        number = np.asarray(query) // block - number
    return (number + phase) % stride == 0


def documents(query_ids, key_ids):
    """Rows of the same document, [B, 1, Sq, Skv] from [B, Sq] and [B, Skv]."""
    return (query_ids[:, :, None] == key_ids[:, None, :])[:, None]


def blocks(rows, keys, members, q_block, kv_block):
    """Listed blocks, [B, H, Sq, Skv] from [B, H, NQ, NK] for rows 0, 1, ...; a
    q_block of 0 is all rows."""
    by_row = members[:, :, np.arange(rows) // q_block if q_block else np.zeros(rows, int)]
    return by_row[..., np.arange(keys) // kv_block]


def padded_members(numbers, counts, key_blocks):
    """Lists as sets: members [B, H, NQ, NK] of numbers [B, H, NQ, K], of which
    the first `counts` [B, H, NQ] count; what is no block is left out."""
    members = np.zeros((*numbers.shape[:3], key_blocks), bool)
    for place in np.ndindex(counts.shape):
        count = min(max(int(counts[place]), 0), numbers.shape[3])
        for number in numbers[place][:count]:
            if 0 <= number < key_blocks:
                members[place][int(number)] = True
    return members


def csr_members(begins, numbers, key_blocks):
    """The same from begins [B, H, NQ + 1] in numbers [B, H, N]."""
    shape = (*begins.shape[:2], begins.shape[2] - 1)
    members = np.zeros((*shape, key_blocks), bool)
    for b, h, q in np.ndindex(shape):
        begin, end = np.clip(begins[b, h, q : q + 2].astype(int), 0, numbers.shape[2])
        for number in numbers[b, h, begin:end]:
            if 0 <= number < key_blocks:
                members[b, h, q, int(number)] = True
    return members


def spans(begins, ends, keys):
    """Keys [begin, end) of each row, [B, H, Sq, Skv] from [B, H, Sq] twice."""
    key = np.arange(keys)
    return (begins[..., None] <= key) & (key < ends[..., None])


def elastic(positions, keys, first, recent, block):
    """The first and the recent keys, in blocks; first and recent [B, H],
    positions [B, Sq]. arXiv:2406.14909."""
    key = np.arange(keys)[None, None, None, :] // block
    query = positions[:, None, :, None] // block
    first, recent = (np.maximum(x, 0)[:, :, None, None] for x in (first, recent))
    return (key < first) | (key > query - recent)
