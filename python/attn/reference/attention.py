# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Scaled dot product attention."""

import math

import numpy as np


def from_pages(pool, page_table):
    """Keys or values of each batch entry, out of pages, and which there are.

    pool        [P, Hkv, page_size, D]
    page_table  [B, NP]; key j of entry b is row j % page_size of page
                page_table[b, j // page_size]; what is no page has no keys

    Returns [B, Hkv, NP * page_size, D] and bool [B, NP * page_size].
    """
    pages, heads, size, width = pool.shape
    batch, numbers = page_table.shape
    rows = np.zeros((batch, heads, numbers * size, width), pool.dtype)
    exists = np.zeros((batch, numbers * size), bool)
    for b, n in np.ndindex(batch, numbers):
        page, part = int(page_table[b, n]), slice(n * size, (n + 1) * size)
        if 0 <= page < pages:
            rows[b, :, part] = pool[page]
            exists[b, part] = True
    return rows, exists


def attention(
    query,
    key,
    value,
    *,
    bias=None,
    kept=None,
    kv_lengths=None,
    page_table=None,
    key_head_map=None,
    value_head_map=None,
    sink_logits=None,
    softmax_scale=None,
    softcap=None,
    bias_order="after_softcap",
    score=None,
):
    """Attention, row by row.

    query        [B, H, Sq, D]
    key          [B, Hkv, Skv, D]; query head h reads head h // (H // Hkv)
    value        [B, Hkv, Skv, Dv]
    bias         broadcasts to [B, H, Sq, Skv], added to the scores
    kept         broadcasts to [B, H, Sq, Skv], bool, true = attend: the
                 conjunction of masks
    kv_lengths   [B] or [B, Hl], keys at or after the length are not attended
                 to; consecutive heads share one of Hl lengths
    page_table   [B, NP], makes key and value pools of pages: see from_pages
    key_head_map, value_head_map
                 [H], the head of keys or values that each query head reads
    sink_logits  [H], one more logit in the denominator of each softmax
    softcap      c: scores become c * tanh(score / c)
    bias_order   'after_softcap' or 'before_softcap'
    score        function (scores, b, h, i, keys) -> scores of one row, last

    Returns the output [B, H, Sq, Dv] and the natural logarithm of the softmax
    denominator [B, H, Sq]. A row that attends to nothing is zero, with a
    logarithm of minus infinity, or the sink logit. Scores of minus infinity
    weigh nothing.

    Sources: arXiv:1706.03762 section 3.2.1; heads in groups arXiv:2305.13245;
    softcap arXiv:2408.00118 section 2; sink logits as the bias of the
    denominator in arXiv:2309.17453 section 3.3 and arXiv:2508.10925.
    """
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    batch, heads, query_len, head_dim = query.shape
    exists = None
    if page_table is not None:
        key, exists = from_pages(key, page_table)
        value, _ = from_pages(value, page_table)
    kv_len = key.shape[2]
    key_of, value_of = (
        [h // (heads // x.shape[1]) for h in range(heads)] if given is None else list(given)
        for x, given in ((key, key_head_map), (value, value_head_map))
    )
    if kv_lengths is not None:
        kv_lengths = np.asarray(kv_lengths).reshape(batch, -1)
        kv_lengths = np.repeat(kv_lengths, heads // kv_lengths.shape[1], axis=1)
    scale = 1 / math.sqrt(head_dim) if softmax_scale is None else softmax_scale
    whole = (batch, heads, query_len, kv_len)
    bias = np.broadcast_to(np.asarray(0.0 if bias is None else bias, np.float64), whole)
    kept = np.broadcast_to(np.asarray(True if kept is None else kept), whole)
    output = np.zeros((batch, heads, query_len, value.shape[3]))
    lse = np.full((batch, heads, query_len), -np.inf)
    for b, h, i in np.ndindex(batch, heads, query_len):
        row_kept = kept[b, h, i].copy()
        if kv_lengths is not None:
            row_kept &= np.arange(kv_len) < kv_lengths[b, h]
        if exists is not None:
            row_kept &= exists[b]
        js = np.flatnonzero(row_kept)
        scores = np.array([scale * np.dot(query[b, h, i], key[b, key_of[h], j]) for j in js])
        row_bias = bias[b, h, i, js]
        if bias_order == "before_softcap":
            scores = scores + row_bias
        if softcap is not None:
            scores = softcap * np.tanh(scores / softcap)
        if bias_order == "after_softcap":
            scores = scores + row_bias
        if score is not None and js.size:
            scores = score(scores, b, h, i, js)
        logits = scores
        if sink_logits is not None:
            logits = np.append(scores, np.float64(sink_logits[h]))
        if np.isnan(logits).any():
            output[b, h, i] = lse[b, h, i] = np.nan
            continue
        if not (logits > -np.inf).any():
            continue
        top = logits.max()
        denominator = math.fsum(np.exp(logits - top))
        lse[b, h, i] = top + math.log(denominator)
        weights = np.exp(scores - top) / denominator
        if js.size:
            with np.errstate(invalid="ignore"):  # of infinities
                output[b, h, i] = weights @ value[b, value_of[h], js]
    return output, lse
