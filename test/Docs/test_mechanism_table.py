# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The README's table of mechanisms has a row for each folder, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_mechanism_has_a_row():
    folders = {path.parent.name for path in (ROOT / "test" / "Mechanisms").glob("*/oracle.py")}
    rows = re.findall(r"^\| \[([\w-]+)\]\(test/Mechanisms/\1\) \|", (ROOT / "README.md").read_text(), re.M)
    assert folders
    assert sorted(rows) == sorted(folders)
