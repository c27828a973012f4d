#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks the tables of README.md that are made from the .td files.

With --fix, writes them anew.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SUMMARY = r'.*?let summary = ((?:"[^"]*"\s*)+);'


def found(pattern, folder="include/attn"):
    """[(name, summary)] of all definitions that match, sorted by name."""
    result = []
    for path in sorted((ROOT / folder).rglob("*.td")):
        for match in re.finditer(pattern + SUMMARY, path.read_text(), re.DOTALL):
            summary = "".join(re.findall(r'"([^"]*)"', match[2]))
            result.append((match[1], summary))
    return sorted(result)


def tables():
    passes = found(r'def \w+\s*:\s*Pass<"([\w-]+)"', "include/attn")
    operations = found(r'def Attn_\w+Op\s*:\s*Attn_\w*Op<"([\w.]+)"')
    masks = found(
        r'def Attn_\w+Attr\s*:\s*Attn_Mask\w*<"\w+", "(\w+)"',
        "include/attn/Dialect/Attn/IR",
    )
    return {
        "passes": table("pass", passes, ""),
        "operations": table("operation", operations, "attn."),
        "masks": table("mask", masks, "#attn."),
    }


def table(title, rows, prefix):
    lines = [f"| {title} | what it is |", "|---|---|"]
    lines += [f"| `{prefix}{name}` | {summary} |" for name, summary in rows]
    return "\n".join(lines)


def updated(text):
    for name, body in tables().items():
        if body.count("\n") < 2:
            raise SystemExit(f"error: found no {name}; is the pattern still right?")
        block = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not block.search(text):
            raise SystemExit(f"error: README.md has no '<!-- table: {name} -->'")
        text = block.sub(lambda m, body=body: f"{m[1]}\n{body}\n\n{m[2]}", text)
    return text


def main():
    text = README.read_text()
    wanted = updated(text)
    if "--fix" in sys.argv[1:]:
        README.write_text(wanted)
        return 0
    if text != wanted:
        print("README.md: its tables are stale; run .ci/readme.py --fix")
        return 1
    print("the tables of README.md are fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
