# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operations that choose heads, keys and spans against the NumPy oracle.

Each case runs twice: by the decomposition, and as parallel loops on the host's
vector units.

Run it with: python -m unittest discover test/Integration/selection
"""

import functools
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "python"))

from attn.testing import selection, spans, suites  # noqa: E402
from attn.testing.execute import LOWER_LINALG, Library  # noqa: E402

CPU_FLAGS = Path("/proc/cpuinfo").read_text().split() if sys.platform == "linux" else []


def passes(avx512):
    options = f"avx512={str(avx512).lower()}"
    return [
        "--attn-expand-selection",
        f"--attn-to-tiles={options}",
        "--attn-decompose",
        *LOWER_LINALG[:3],
        f"--attn-lower-rows=lanes={16 if avx512 else 8}",
        f"--attn-lower-tiles={options}",
        "--scf-parallel-for-to-nested-fors",
        *LOWER_LINALG[3:-2],
        "--convert-vector-to-llvm",
        *LOWER_LINALG[-2:],
    ]


TARGETS = {"Decompose": None}
if "avx2" in CPU_FLAGS and "fma" in CPU_FLAGS:
    TARGETS["Avx2"] = False
if all(f"avx512{part}" in CPU_FLAGS for part in ("f", "bw", "dq", "vl")):
    TARGETS["Avx512"] = True

for target, avx512 in TARGETS.items():
    build = Library if avx512 is None else functools.partial(Library, passes=passes(avx512))
    for name, cases in (selection.GROUPS | spans.GROUPS).items():
        globals()[f"Test{target}{name}"] = suites.make_test(list(cases()), build)

if __name__ == "__main__":
    unittest.main()
