#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the format of all C++ files; with --fix, formats them."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("include", "lib", "tools", "test", "python")


def main():
    tool = shutil.which("clang-format-22")
    if not tool:
        print("error: clang-format-22 is not installed")
        return 1
    files = [
        path
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".cpp", ".h")
    ]
    if "--fix" in sys.argv[1:]:
        subprocess.run([tool, "-i", *map(str, files)], check=True)
        return 0

    def ok(path):
        command = [tool, "--dry-run", "-Werror", str(path)]
        return subprocess.run(command, capture_output=True).returncode == 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [path for path, good in zip(files, pool.map(ok, files)) if not good]
    for path in wrong:
        print(f"{path.relative_to(ROOT)}: run .ci/format.py --fix")
    print(f"{len(files)} files, {len(wrong)} not formatted")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
