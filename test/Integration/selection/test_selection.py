# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operations that choose heads, keys and spans against the NumPy oracle.

Run it with: python -m unittest discover test/Integration/selection
"""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))

from attn.testing import selection, suites  # noqa: E402

for name, cases in selection.GROUPS.items():
    globals()[f"TestDecompose{name}"] = suites.make_test(list(cases()))

if __name__ == "__main__":
    unittest.main()
