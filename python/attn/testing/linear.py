# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cases of attn.linear_attention."""

from dataclasses import dataclass

import numpy as np

from attn.reference import linear_attention

from .cases import Argument, Case
from .dtypes import ROUNDOFF, TINY


@dataclass(frozen=True)
class LinearCase(Case):
    """Dimensions are named by letters: B batch, H heads, G key heads, S tokens,
    D head dimension, V value dimension, C chunks, 1."""

    B: int = 1
    H: int = 2
    G: int = 2
    S: int = 7
    D: int = 8
    V: int = 8
    dtype: str = "f32"
    decay: str = None  # "head", "feature" or "constant"
    strength: float = 0.3  # of the decays: logarithms up to this
    beta: str = None  # "G" or "1": whether each head has its own
    state: bool = False
    normalize: bool = False
    writes: str = None  # "G" or "1"
    unwritten: bool = False  # unwritten chunks decay the state
    scale: float = None
    chunk: int = None
    special: str = None  # "same_keys", "forget"
    dynamic: str = ""  # letters of the dimensions that are dynamic in the IR
    seed: int = 0

    @property
    def _wide(self):
        return "f64" if self.dtype == "f64" else "f32"

    @property
    def C(self):
        return -(-self.S // (self.chunk or 64))

    def _tensor(self, name, dims, dtype):
        shape = tuple(1 if d == "1" else getattr(self, d) for d in dims)
        dynamic = frozenset(i for i, d in enumerate(dims) if d in self.dynamic)
        return Argument(name, dtype, shape, dynamic)

    def arguments(self):
        result = [
            self._tensor("q", "BHSD", self.dtype),
            self._tensor("k", "BGSD", self.dtype),
            self._tensor("v", "BGSV", self.dtype),
        ]
        if self.decay in ("head", "feature"):
            dims = "BGS" if self.decay == "head" else "BGSD"
            result.append(self._tensor("decay", dims, self.dtype))
        if self.beta:
            result.append(self._tensor("beta", f"B{self.beta}S", self.dtype))
        if self.state:
            result.append(self._tensor("state", "BGDV", self._wide))
            if self.normalize:
                result.append(self._tensor("normalizer", "BGD", self._wide))
        if self.writes:
            result.append(self._tensor("writes", f"B{self.writes}C", "i1"))
        return result

    def results(self):
        result = [
            self._tensor("output", "BHSV", self.dtype),
            self._tensor("state_out", "BGDV", self._wide),
        ]
        if self.normalize:
            result.append(self._tensor("normalizer_out", "BGD", self._wide))
        return result

    def _constants(self):
        return [-self.strength * (i + 1) / self.G for i in range(self.G)]

    def body(self):
        given = self.arguments()
        parts = [f"{a.name}(%{a.name} : {a.type})" for a in given[3:]]
        attributes = []
        if self.decay == "constant":
            numbers = ", ".join(f"{x:.17e}" for x in self._constants())
            attributes.append(f"log_decay = array<f64: {numbers}>")
        if self.scale is not None:
            attributes.append(f"scale = {self.scale:.17e} : f64")
        if self.chunk is not None:
            attributes.append(f"chunk_size = {self.chunk}")
        if self.unwritten:
            attributes.append("decay_unwritten")
        if attributes:
            parts.append("{" + ", ".join(attributes) + "}")
        names = ", ".join(f"%r{i}" for i in range(len(self.results())))
        return (
            f"{names} = attn.linear_attention %q, %k, %v {' '.join(parts)} : "
            + ", ".join(a.type for a in given[:3])
            + " -> "
            + ", ".join(r.type for r in self.results())
        )

    def values(self, rng):
        values = {}
        for a in self.arguments():
            x = rng.standard_normal(a.shape)
            if a.name in "qk" and self.normalize:
                x = np.abs(x)
            if a.name == "k" and self.beta:
                # Unit keys: the delta rule never makes the state larger.
                if self.special == "same_keys":
                    x[:] = x[:, :, :1]
                x /= np.linalg.norm(x, axis=-1, keepdims=True)
            if a.name == "decay":
                x = -self.strength * rng.random(a.shape)
                if self.special == "forget":
                    x[rng.random(a.shape) < 0.1] = -np.inf
            if a.name == "beta":
                x = np.ones(a.shape) if self.special == "same_keys" else rng.random(a.shape)
            if a.name == "normalizer":
                x = np.abs(x)
            if a.name == "writes":
                x = rng.random(a.shape) < 0.5
            values[a.name] = x
        return [values[a.name] for a in self.arguments()]

    def _reference(self, values, **changes):
        rest = {n: x for n, x in values.items() if n not in ("q", "k", "v")}
        options = dict(
            rest,
            log_decay=self._constants() if self.decay == "constant" else None,
            normalize=self.normalize,
            scale=1.0 if self.scale is None else self.scale,
            chunk_size=self.chunk or 64,
            decay_unwritten=self.unwritten,
        )
        options.update(changes)
        return linear_attention(values["q"], values["k"], values["v"], **options)

    def expected(self, values):
        values = {a.name: x for a, x in zip(self.arguments(), values)}
        results = self._reference(values)
        # What the sums amount to without cancellation. The delta rule adds what
        # it subtracts, once more, and unit keys never enlarge an error.
        sizes = {n: np.abs(x) if n in ("q", "k", "v", "state") else x for n, x in values.items()}
        total = 1
        if self.beta:
            sizes["v"] = sizes["v"] + np.abs(values["v"]).max(initial=0) + np.abs(
                values["state"] if self.state else 0
            ).max(initial=0) * self.D
            total = 2
        largest = self._reference(sizes, beta=None)
        # Logarithms are summed over up to 64 tokens, then subtracted.
        spread = 64 * 2 * self.strength * (2 if self.special == "forget" else 1)
        if self.special == "forget":
            spread += 64 * 160
        if not self.decay:
            spread = 0
        u = ROUNDOFF[self._wide]
        relative = total * (self.S + self.D + 72 + 2 * spread) * u
        final = [ROUNDOFF[r.dtype] for r in self.results()]
        return [
            (x, relative * (2 if self.normalize else 1) * np.abs(size) + f * np.abs(x)
             + TINY[self.dtype])
            for x, size, f in zip(results, largest, final)
        ]
