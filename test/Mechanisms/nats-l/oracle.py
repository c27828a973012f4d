# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""NAtS-L: tokens that choose between softmax attention and a gated delta rule
(Neural Attention Search Linear), chunk by chunk; the released layer
`natsl_attn_gdn` with GDN states of chunks that softmax takes left alone or
decayed.
"""

import numpy as np


def types(x, w, chunk):
    """[B, heads, chunks]: whether a chunk goes to the delta rule. The mean of
    its tokens decides, that of a short last chunk too; of equals, softmax."""
    batch, length, _ = x.shape
    chunks = -(-length // chunk)
    means = np.stack(
        [x[:, c * chunk : (c + 1) * chunk].astype(np.float64).mean(axis=1) for c in range(chunks)],
        axis=1,
    ) if chunks else np.zeros((batch, 0, x.shape[2]))
    scores = (means @ w.astype(np.float64)).reshape(batch, chunks, -1, 2)
    return np.moveaxis(scores[..., 1] > scores[..., 0], 1, 2)


def normalise(x):
    return x / np.sqrt((x.astype(np.float64) ** 2).sum(-1, keepdims=True) + 1e-6)


def delta_branch(q, k, v, decay, beta, linear, chunk, decay_softmax):
    """Token by token, with the state of the chunk's start to roll back to."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    batch, heads, length, features = q.shape
    output = np.zeros(v.shape)
    states = np.zeros((batch, heads, features, v.shape[3]))
    for b, h in np.ndindex(batch, heads):
        state = np.zeros((features, v.shape[3]))
        for begin in range(0, length, chunk):
            start, end = state, min(begin + chunk, length)
            for t in range(begin, end):
                key, value = k[b, h, t], v[b, h, t]
                left = np.eye(features) - beta[b, h, t] * np.outer(key, key)
                state = np.exp(decay[b, h, t]) * (left @ state)
                state = state + beta[b, h, t] * np.outer(key, value)
                output[b, h, t] = features**-0.5 * (state.T @ q[b, h, t])
            if not linear[b, h, begin // chunk]:
                factor = np.exp(decay[b, h, begin:end].sum()) if decay_softmax else 1.0
                state = factor * start
        states[b, h] = state
    return output, states


def softmax_branch(q, k, v, linear, chunk):
    """Keys of earlier softmax chunks and of the query's own chunk up to it."""
    group = q.shape[1] // linear.shape[1]
    output = np.zeros((*q.shape[:3], v.shape[3]))
    for b, h, i in np.ndindex(*q.shape[:3]):
        own = linear[b, h // group]
        seen = [j for j in range(i + 1) if j // chunk == i // chunk or not own[j // chunk]]
        scores = k[b, h, seen].astype(np.float64) @ q[b, h, i] / np.sqrt(q.shape[3])
        weights = np.exp(scores - scores.max())
        output[b, h, i] = weights @ v[b, h, seen] / weights.sum()
    return output


def combine(delta, softmax, logits, gamma1, gamma2):
    """Weights of a softmax over two, on both branches normalised: weight 0 is
    that of the delta rule."""

    def norm(x):
        return x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6)

    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return weights[..., :1] * norm(delta) * gamma1 + weights[..., 1:] * norm(softmax) * gamma2
