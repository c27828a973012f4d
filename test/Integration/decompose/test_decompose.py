# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The linalg form of every operation against the NumPy oracle.

Run it with: python -m unittest discover test/Integration/decompose
"""

import functools
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))

from attn.testing import suites  # noqa: E402
from attn.testing.execute import DECOMPOSE, Library  # noqa: E402

TestAttention = suites.make_test(list(suites.attention_cases()))
TestRandomMasks = suites.make_test(list(suites.random_mask_cases()))
TestMerge = suites.make_test(list(suites.merge_cases()))
TestRope = suites.make_test(list(suites.rope_cases()))
TestScatter = suites.make_test(list(suites.scatter_cases()))
TestAppend = suites.make_test(list(suites.append_cases()))

# What the canonicaliser makes of masks and offsets means the same.
canonical = functools.partial(Library, passes=["--canonicalize", *DECOMPOSE])
TestCanonicalAttention = suites.make_test(list(suites.attention_cases()), canonical)
TestCanonicalMasks = suites.make_test(list(suites.random_mask_cases()), canonical)

if __name__ == "__main__":
    unittest.main()
