# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`attn explain` tells for each mechanism how much work it saves."""

import re
from pathlib import Path

import pytest

from attn.testing import mechanisms

ROOT = Path(__file__).parent
README = ROOT.parents[1] / "README.md"
FOLDERS = sorted(path.parent.name for path in ROOT.glob("*/oracle.py"))
# What these save is in the shapes: fewer or shared heads, or one row for a head.
BY_SHAPE = {
    "cca": ("heads", "4/2"),
    "dha": ("heads", "6/2/3"),
    "sqa": ("heads", "4/2"),
    "low-rank-pooling": ("sizes", " x 1 x "),
}


def work_saved(folder):
    """The column of the README's table."""
    row = re.search(rf"^\| \[{re.escape(folder)}\].*\| (.*) \|$", README.read_text(), re.MULTILINE)
    assert row, f"no row for {folder} in the README"
    return row[1]


def reports(folder):
    for path in sorted((ROOT / folder).glob("*.mlir")):
        for entry in mechanisms.entries(path):
            yield mechanisms.report(path, entry)


@pytest.mark.parametrize("folder", FOLDERS)
def test_explain_tells_of_the_work_saved(folder):
    if work_saved(folder).startswith("none"):
        pytest.skip("saves no work")
    if folder in BY_SHAPE:
        key, value = BY_SHAPE[folder]
        assert any(value in a[key] for r in reports(folder) for a in r["attentions"])
    else:
        assert any(mechanisms.tells_of_savings(r) for r in reports(folder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_shares_are_shares(folder):
    for report in reports(folder):
        for attention in report["attentions"]:
            assert attention["saved"] is None or 0 <= attention["saved"] < 1
            assert attention["density"] and attention["path"]
        for selection in report["selections"]:
            assert selection["operations"] > 0 and selection["chooses"]
