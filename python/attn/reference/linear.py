# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attn.linear_attention, token by token."""

import numpy as np


def linear_attention(
    query, key, value, *, decay=None, log_decay=None, beta=None, state=None,
    normalizer=None, normalize=False, writes=None, scale=1.0, chunk_size=64,
    decay_unwritten=False,
):
    """Output, state and, with `normalize`, the normaliser after the last token.

    `decay` is [B, Hkv, S] or [B, Hkv, S, D], `log_decay` one number for each
    key head, `beta` [B, Hkv or 1, S], `writes` [B, Hkv or 1, chunks].
    """
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    batch, heads, length, features = query.shape
    key_heads, values = key.shape[1], value.shape[3]
    group = heads // key_heads
    decays = np.zeros((batch, key_heads, length, features))
    if decay is not None:
        decay = np.asarray(decay, np.float64)
        decays = decays + (decay if decay.ndim == 4 else decay[..., None])
    if log_decay is not None:
        decays = decays + np.asarray(log_decay, np.float64)[None, :, None, None]

    def start(given, shape):
        return np.zeros(shape) if given is None else np.array(given, np.float64)

    states = start(state, (batch, key_heads, features, values))
    sums = start(normalizer, (batch, key_heads, features))
    output = np.zeros((batch, heads, length, values))
    for b in range(batch):
        for g in range(key_heads):
            S, N = states[b, g], sums[b, g]
            kept_S, kept_N = S, N
            for t in range(length):
                factor = np.exp(decays[b, g, t])
                k, v = key[b, g, t], value[b, g, t]
                S = factor[:, None] * S
                if beta is not None:
                    own = beta[b, g if beta.shape[1] > 1 else 0, t]
                    v = float(own) * (v - S.T @ k)
                S = S + np.outer(k, v)
                N = factor * N + k
                for h in range(g * group, (g + 1) * group):
                    q = query[b, h, t]
                    output[b, h, t] = scale * (S.T @ q)
                    if normalize:
                        divisor = N @ q
                        output[b, h, t] = 0 if divisor == 0 else (S.T @ q) / divisor
                if decay_unwritten:
                    kept_S, kept_N = factor[:, None] * kept_S, factor * kept_N
                if writes is not None and ((t + 1) % chunk_size == 0 or t + 1 == length):
                    if not writes[b, g if writes.shape[1] > 1 else 0, t // chunk_size]:
                        S, N = kept_S, kept_N
                    kept_S, kept_N = S, N
            states[b, g], sums[b, g] = S, N
    return (output, states, sums) if normalize else (output, states)


def local_linear_attention(
    query, key, value, *, ridge, absolute=False, scale=None, feature_block=None, epsilon=1e-12
):
    """The exact solution, one row after the other."""
    query, key, value = (np.asarray(x, np.float64) for x in (query, key, value))
    batch, heads, rows, features = query.shape
    group, offset = heads // key.shape[1], key.shape[2] - rows
    scale = features**-0.5 if scale is None else scale
    block = feature_block or features
    apart = np.arange(features)[:, None] // block != np.arange(features) // block
    output = np.zeros((batch, heads, rows, value.shape[3]))
    for b, h, i in np.ndindex(batch, heads, rows):
        q = query[b, h, i]
        k, v = key[b, h // group, : i + offset + 1], value[b, h // group, : i + offset + 1]
        scores = scale * (k @ q)
        w = np.exp(scores - scores.max())
        omega, centred = w.sum(), k - q
        sigma = (w[:, None] * centred).T @ centred
        sigma[apart] = 0
        sigma += ridge * (1 if absolute else omega) * np.eye(features)
        mu = w @ centred
        rho = np.linalg.solve(sigma, mu)
        delta = omega - mu @ rho
        delta += epsilon * (-1 if delta < 0 else 1)
        output[b, h, i] = (w * (1 - centred @ rho) / delta) @ v
    return output


def monotonic_align(choose, previous=None):
    """Target by target, source by source."""
    choose = np.asarray(choose, np.float64)
    batch, heads, targets, sources = choose.shape
    before = np.zeros((batch, heads, sources))
    before[..., :1] = 1
    if previous is not None:
        before = np.asarray(previous, np.float64)
    result = np.zeros(choose.shape)
    for i in range(targets):
        arrived = np.zeros((batch, heads))
        for j in range(sources):
            passed = 1 - choose[:, :, i, j - 1] if j else 0
            arrived = before[..., j] + passed * arrived
            result[:, :, i, j] = choose[:, :, i, j] * arrived
        before = result[:, :, i]
    return result
