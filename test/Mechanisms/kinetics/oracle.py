# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Kinetics, arXiv:2506.05333, section 4 and the released benchmark: block top-k
for one new query; a page's score is the mean product of its keys with the query
heads of a group."""

import numpy as np


def logits(q, k):
    """[B, G, R, T], unscaled; R query heads in each of G groups."""
    b, h, _, d = q.shape
    grouped = q.astype(np.float64).reshape(b, k.shape[1], h // k.shape[1], d)
    return np.einsum("bgrd,bgtd->bgrt", grouped, k.astype(np.float64))


def page_scores(q, k, page):
    """Means over the tokens of a page of the group's mean logits."""
    token = logits(q, k).mean(axis=2)
    starts = range(0, k.shape[2], page)
    return np.stack([token[..., s : s + page].mean(axis=-1) for s in starts], axis=-1)


def best(scores, count):
    """Largest scores by rising index; ties to the first."""
    return np.sort(np.argsort(-scores, axis=-1, kind="stable")[..., :count], axis=-1)


def attention(q, k, v, keep):
    """keep: [B, G, T]; a query that keeps nothing gets 0."""
    s = logits(q, k) / np.sqrt(q.shape[3])
    s = np.where(keep[:, :, None], s, -np.inf)
    e = np.exp(s - s.max(axis=-1, keepdims=True))
    o = np.einsum("bgrt,bgtd->bgrd", e / e.sum(axis=-1, keepdims=True), v.astype(np.float64))
    return o.reshape(q.shape)


def tokens(chosen, length, page):
    """The pages' tokens as a mask [B, G, T]."""
    return (np.arange(length)[:, None] // page == chosen[:, :, None, :]).any(axis=-1)


def main(q, k, v, page, count):
    """`count` pages, among them the newest."""
    scores = page_scores(q, k, page)
    scores[..., -1] = np.inf
    chosen = best(scores, count)
    return attention(q, k, v, tokens(chosen, k.shape[2], page)), chosen


def forced(q, k, v, page, count, sink, local):
    """Also the first `sink` and last `local` tokens; pages end before the latter."""
    length = k.shape[2]
    chosen = best(page_scores(q, k, page)[..., : max(length - local, 0) // page], count)
    j = np.arange(length)
    keep = tokens(chosen, length, page) | (j < sink) | (j >= length - local)
    return attention(q, k, v, keep), chosen
