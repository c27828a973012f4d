# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the node tests that the onnx package carries through `attn test`.

`python node_tests.py` reports what passes and why the rest does not;
`--update` writes the list of passes, which the test suite then demands.
"""

import argparse
import collections
import re
import subprocess
import sys
from pathlib import Path

from harness import ATTN

PASSED = Path(__file__).resolve().parent / "node_tests_passed.txt"
LINE = re.compile(r"^(passed|failed|skipped)\s+(\S+?)(?::\s*(.*))?$", re.MULTILINE)
BATCH = 50


def folder():
    import onnx.backend.test

    return Path(onnx.backend.test.__file__).parent / "data" / "node"


def all_names():
    return sorted(path.name for path in folder().iterdir() if (path / "model.onnx").exists())


def expected():
    """Names of the committed list."""
    return [line for line in PASSED.read_text().split("\n") if line and line[0] != "#"]


def run(names):
    """{name: (status, reason)}; a case that ends the process is 'crashed'."""
    results = {}
    for start in range(0, len(names), BATCH):
        batch = names[start : start + BATCH]
        results.update(run_batch(batch))
    return results


def run_batch(names):
    paths = [str(folder() / name) for name in names]
    try:
        done = subprocess.run(
            [str(ATTN), "test", *paths], capture_output=True, text=True, timeout=30 + 10 * len(names)
        )
        text, code = done.stdout, done.returncode
        error = done.stderr
    except subprocess.TimeoutExpired as timeout:
        text, code, error = (timeout.stdout or b"").decode(), -1, "timeout"
    known = {name: (status, reason) for status, name, reason in
             ((m[1], Path(m[2]).name, m[3] or "") for m in LINE.finditer(text))}
    missing = [name for name in names if name not in known]
    if not missing:
        return known
    if len(names) == 1:
        last = error.strip().splitlines()[-1:] or [""]
        return {names[0]: ("crashed", f"exit code {code}: {last[0]}")}
    # The first one without a result ended the process; the others go on.
    results = {name: known[name] for name in names if name in known}
    results.update(run_batch(missing[:1]))
    if missing[1:]:
        results.update(run_batch(missing[1:]))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the list of passes")
    parser.add_argument("--only", default="", help="part of the names")
    arguments = parser.parse_args()
    names = [name for name in all_names() if arguments.only in name]
    results = run(names)
    for name in names:
        status, reason = results[name]
        if status != "passed":
            print(f"{status} {name}: {reason}")
    counts = collections.Counter(status for status, _ in results.values())
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if arguments.update:
        passed = sorted(name for name in names if results[name][0] == "passed")
        PASSED.write_text(
            "# Node tests of onnx 1.22.0 that pass; written by node_tests.py --update.\n"
            + "".join(f"{name}\n" for name in passed)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
