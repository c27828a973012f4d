# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What all numeric cases share.

A case is a frozen dataclass: parameters and a seed. It can write one MLIR
function of itself, make its inputs, and say what must come out and how close.
"""

from dataclasses import dataclass

import numpy as np

from .dtypes import decode, encode


@dataclass(frozen=True)
class Argument:
    """A tensor, or a scalar index (shape None)."""

    name: str
    dtype: str
    shape: tuple = None
    dynamic: frozenset = frozenset()  # dimensions of unknown size in the IR

    @property
    def type(self):
        return self.dtype if self.shape is None else tensor_type(
            self.shape, self.dtype, self.dynamic
        )


def tensor_type(shape, dtype, dynamic=()):
    sizes = ["?" if i in dynamic else str(size) for i, size in enumerate(shape)]
    return f"tensor<{'x'.join([*sizes, dtype])}>"


class Case:
    """Interface of a case; `inputs` are arrays as `dtypes.encode` stores them."""

    def arguments(self):
        """List of Argument."""
        raise NotImplementedError

    def results(self):
        """List of Argument."""
        raise NotImplementedError

    def body(self):
        """MLIR text that defines %r0, %r1, ... from the arguments' names."""
        raise NotImplementedError

    def values(self, rng):
        """One array of numbers for each argument."""
        raise NotImplementedError

    def expected(self, values):
        """One (array, tolerance) for each result, from decoded inputs."""
        raise NotImplementedError

    def function(self, name):
        """The case as one MLIR function."""
        arguments = ", ".join(f"%{a.name}: {a.type}" for a in self.arguments())
        results = self.results()
        types = ", ".join(r.type for r in results)
        names = ", ".join(f"%r{i}" for i in range(len(results)))
        return (
            f"func.func @{name}({arguments}) -> ({types})\n"
            f"    attributes {{llvm.emit_c_interface}} {{\n"
            f"  {self.body()}\n  return {names} : {types}\n}}\n"
        )

    def inputs(self):
        rng = np.random.default_rng(self.seed)
        return [
            encode(value, argument.dtype)
            for value, argument in zip(self.values(rng), self.arguments())
        ]

    def check(self, inputs, outputs):
        """None, or what is wrong with `outputs` (stored arrays)."""
        numbers = [decode(x, a.dtype) for x, a in zip(inputs, self.arguments())]
        for result, output, (wanted, tolerance) in zip(
            self.results(), outputs, self.expected(numbers)
        ):
            problem = compare(decode(output, result.dtype), wanted, tolerance)
            if problem:
                return f"{result.name}: {problem}"
        return None


def compare(actual, wanted, tolerance):
    """None, or the worst difference. NaN and infinities must be the same."""
    if actual.shape != wanted.shape:
        return f"shape {actual.shape}, expected {wanted.shape}"
    tolerance = np.broadcast_to(tolerance, wanted.shape)
    with np.errstate(invalid="ignore"):
        error = np.abs(actual - wanted)
    same = (actual == wanted) | (np.isnan(actual) & np.isnan(wanted))
    wrong = ~(same | (error <= tolerance))
    if not wrong.any():
        return None
    excess = np.where(np.isnan(error), np.inf, error - tolerance)
    at = np.unravel_index(np.argmax(np.where(wrong, excess, -1)), wanted.shape)
    at = tuple(int(i) for i in at)
    return (
        f"{int(wrong.sum())} of {wrong.size} elements differ, the worst at {at}: "
        f"{actual[at]!r}, expected {wanted[at]!r} within {tolerance[at]:.3g}"
    )
