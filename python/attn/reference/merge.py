# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Attention over the union of disjoint key sets."""

import numpy as np


def merge(outputs, lses):
    """Combines N partial attentions.

    outputs  N arrays [B, H, Sq, Dv]
    lses     N arrays [B, H, Sq]: log of each part's softmax denominator

    Returns output and lse of the whole. Parts with an lse of minus infinity
    have seen no key. Source: arXiv:2205.14135 section 3.1, where the softmax
    of concatenated vectors is put together from those of its parts.
    """
    lses = [np.asarray(lse, np.float64) for lse in lses]
    total = lses[0]
    for lse in lses[1:]:
        total = np.logaddexp(total, lse)
    output = np.zeros(np.shape(outputs[0]))
    for part, lse in zip(outputs, lses):
        with np.errstate(invalid="ignore"):
            share = np.exp(lse - total)[..., None] * np.asarray(part, np.float64)
        output += np.where((lse == -np.inf)[..., None], 0, share)
    return output, total
