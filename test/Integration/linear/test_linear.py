# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The recurrences against the NumPy oracle: by their definition and as tile
programs for each kind of processor.

Run it with: python -m unittest discover test/Integration/linear
More random cases: ATTN_FUZZ_CASES=500 ATTN_FUZZ_FIRST=1000.
"""

import functools
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))

from attn.testing import suites  # noqa: E402
from attn.testing.execute import LOWER_LINALG, Library  # noqa: E402

CPU_FLAGS = Path("/proc/cpuinfo").read_text().split() if sys.platform == "linux" else []
AVX512 = all(f"avx512{part}" in CPU_FLAGS for part in ("f", "bw", "dq", "vl"))
AVX2 = "avx2" in CPU_FLAGS and "fma" in CPU_FLAGS


RANDOM = list(
    suites.random_linear_cases(
        int(os.environ.get("ATTN_FUZZ_FIRST", "0")), int(os.environ.get("ATTN_FUZZ_CASES", "60"))
    )
)


def passes(avx512):
    options = f"avx512={str(avx512).lower()}"
    return [
        f"--attn-to-tiles={options}",
        *LOWER_LINALG[:3],
        f"--attn-lower-tiles={options}",
        "--scf-parallel-for-to-nested-fors",
        *LOWER_LINALG[3:],
    ]


def tiled(cases):
    """What the tile programs take: no f64, and something to compute."""
    return [c for c in cases if c.dtype != "f64" and (c.S or "S" in c.dynamic)]


TestDecomposed = suites.make_test(list(suites.linear_cases()))
TestRandomDecomposed = suites.make_test(RANDOM)
for target, known in [("Avx512", AVX512), ("Avx2", AVX2)]:
    build = functools.partial(Library, passes=passes(target == "Avx512"))
    for name, cases in [("", suites.linear_cases()), ("Random", RANDOM)]:
        test = suites.make_test(tiled(cases), build)
        test = unittest.skipUnless(known, f"the CPU has no {target}")(test)
        globals()[f"Test{name}{target}"] = test
del test

if __name__ == "__main__":
    unittest.main()
