# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Element types: ONNX's codes and NumPy's types."""

import numpy as np

try:
    from ml_dtypes import bfloat16 as _ml_bfloat16

    BFLOAT16 = np.dtype(_ml_bfloat16)
except ImportError:
    # NumPy has no such type; its bits travel as uint16.
    BFLOAT16 = np.dtype(np.uint16)

BFLOAT16_CODE = 16
NUMPY_TYPES = {
    1: np.dtype(np.float32),
    2: np.dtype(np.uint8),
    3: np.dtype(np.int8),
    4: np.dtype(np.uint16),
    5: np.dtype(np.int16),
    6: np.dtype(np.int32),
    7: np.dtype(np.int64),
    9: np.dtype(np.bool_),
    10: np.dtype(np.float16),
    11: np.dtype(np.float64),
    12: np.dtype(np.uint32),
    13: np.dtype(np.uint64),
    BFLOAT16_CODE: BFLOAT16,
}
NAMES = {code: str(dtype) for code, dtype in NUMPY_TYPES.items()} | {BFLOAT16_CODE: "bfloat16"}


def code_of(dtype):
    """The ONNX code of a NumPy type, or None."""
    if dtype.name == "bfloat16":
        return BFLOAT16_CODE
    for code, known in NUMPY_TYPES.items():
        if dtype == known and code != BFLOAT16_CODE:
            return code
    return None


def bfloat16(array):
    """An array to pass where a model wants bfloat16.

    Floats are rounded to nearest, ties to even; a uint16 array is taken as the
    bits of bfloat16 numbers. The result has the type of the package ml_dtypes
    if that is installed, else it is a uint16 array of the bits. Outputs of
    this type come in the same form.
    """
    array = np.asarray(array)
    if array.dtype.name == "bfloat16":
        return array
    if array.dtype != np.uint16:
        wide = array.astype(np.float32)
        bits = wide.view(np.uint32)
        # In 64 bits, so that the largest number cannot wrap around.
        rounded = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
        array = np.where(np.isnan(wide), 0x7FC0, rounded).astype(np.uint16)
    return array.view(BFLOAT16)
