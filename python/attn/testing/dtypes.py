# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Element types: how NumPy stores them and how exact they are."""

import numpy as np

# bf16 has no NumPy type: its 16 bits travel as an integer.
STORAGE = {
    "f64": np.float64,
    "f32": np.float32,
    "f16": np.float16,
    "bf16": np.uint16,
    "i1": np.bool_,
    "i32": np.int32,
    "i64": np.int64,
    "index": np.int64,
}

# Largest relative error of rounding to nearest.
ROUNDOFF = {"f64": 2.0**-53, "f32": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}
# Half the distance of the smallest numbers.
TINY = {"f64": 2.0**-1075, "f32": 2.0**-150, "f16": 2.0**-25, "bf16": 2.0**-134}


def encode(values, dtype):
    """`values` rounded to `dtype`, as it is stored."""
    if dtype != "bf16":
        return np.asarray(values).astype(STORAGE[dtype], order="C")
    single = np.asarray(values).astype(np.float32, order="C")
    bits = single.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    rounded = np.where(np.isnan(single), 0x7FC0, rounded)
    return rounded.astype(np.uint16)


def decode(stored, dtype):
    """The numbers in `stored`: float64 for floats, else unchanged."""
    if dtype == "bf16":
        return (stored.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return stored.astype(np.float64) if dtype in ROUNDOFF else stored
