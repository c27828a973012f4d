# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""LycheeDecode, arXiv:2602.04541, section 3: retrieval and sparse heads, and
the HardKuma distribution that fixes the role of a head."""

import numpy as np


def attend(q, k, v, named=None):
    """One group: q [R, D], k and v [T, D]; output and weights [R, T]."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    s = q @ k.T / np.sqrt(q.shape[1])
    if named is not None:
        hidden = np.ones(len(k), bool)
        hidden[named] = False
        s[:, hidden] = -np.inf
    e = np.exp(s - s.max(axis=1, keepdims=True))
    weights = e / e.sum(axis=1, keepdims=True)
    return weights @ np.where(weights.any(axis=0)[:, None], v, 0), weights


def layers(qs, ks, vs, roles, count):
    """Outputs [H, D] of each layer and the tokens each head passes on. `roles[l][g]`
    is 'R' or 'S'; batch is 1."""
    outputs, passed = [], []
    before = None
    for q, k, v, role in zip(qs, ks, vs, roles, strict=True):
        groups = k.shape[1]
        own = q[0, :, 0].reshape(groups, -1, q.shape[3])
        rows, after = [], []
        for g in range(groups):
            if role[g] == "R":
                out, weights = attend(own[g], k[0, g], v[0, g])
                order = np.argsort(-weights.max(axis=0), kind="stable")
                after.append(np.sort(order[:count]))
            else:
                out, _ = attend(own[g], k[0, g], v[0, g], before[g])
                after.append(before[g])
            rows.append(out)
        outputs.append(np.concatenate(rows))
        passed.append(after)
        before = after
    return outputs, passed


def hard_kuma(u, a, b, low, high):
    """A sample for each uniform u: stretched to (low, high), cut to [0, 1]."""
    return np.clip(low + (high - low) * (1 - u ** (1 / b)) ** (1 / a), 0, 1)


def hard_kuma_mean(a, b, low, high, steps=20000):
    """E[z], the integral of P(z > x) over [0, 1] by midpoints."""
    x = (np.arange(steps) + 0.5) / steps
    t = np.clip((x - low) / (high - low), 0, 1)
    return ((1 - t**a) ** b).mean()


def hard_kuma_zero(a, b, low, high):
    """P(z = 0)."""
    return 1 - (1 - (-low / (high - low)) ** a) ** b
