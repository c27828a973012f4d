#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the text of the sources: licence, length, white space, open ends."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = {".cpp", ".h", ".td", ".py", ".sh"}
TEXT = CODE | {".mlir", ".md", ".txt", ".cmake", ".test"}
MAX_LINES = 800
LICENCE = "SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception"
# Written so that this file does not contain the words it looks for.
OPEN_END = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def tracked():
    names = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def check(path):
    name = path.relative_to(ROOT).as_posix()
    script = path.suffix == "" and path.parent.name == ".ci"
    if path.suffix not in TEXT and not script:
        return []
    text = path.read_bytes().decode("utf-8")
    lines = text.splitlines()
    errors = []
    if (path.suffix in CODE or script) and LICENCE not in "\n".join(lines[:3]):
        errors.append(f"{name}: the first three lines lack '{LICENCE}'")
    if path.suffix in CODE and len(lines) > MAX_LINES:
        errors.append(f"{name}: {len(lines)} lines; at most {MAX_LINES}: split it by job")
    if "\r" in text:
        errors.append(f"{name}: has carriage returns")
    if text and not text.endswith("\n"):
        errors.append(f"{name}: lacks the newline at its end")
    for number, line in enumerate(lines, 1):
        if line != line.rstrip() and path.suffix != ".md":
            errors.append(f"{name}:{number}: white space at the end of the line")
        if path.suffix in (".cpp", ".h", ".py", ".td") and "\t" in line:
            errors.append(f"{name}:{number}: has a tab")
        if OPEN_END.search(line):
            errors.append(f"{name}:{number}: has an open end ('{OPEN_END.search(line)[0]}')")
    return errors


def main():
    files = tracked()
    errors = [error for path in files for error in check(path)]
    for error in errors:
        print(error)
    print(f"{len(files)} files, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
