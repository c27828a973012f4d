# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs every command of README.md and compares what it says they print.

A comment right above a fenced block says what the block is:
  <!-- file: NAME -->     the block is written to NAME before what follows runs
  <!-- output -->         lines of the output of the bash block before, in
                          order; a line of dots stands for any lines, dots at
                          the end of a line for its rest; SSA names may differ
  <!-- not run: WHY -->   a bash block that is too slow for a test
All other `bash` blocks run, in order, in one folder made for the test.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    line: int
    language: str
    mark: str
    text: str


def blocks(markdown):
    return [
        Block(markdown[: m.start("text")].count("\n") + 1, m["language"], m["mark"] or "", m["text"])
        for m in BLOCK.finditer(markdown)
    ]


def squeeze(line):
    """The line without what may differ: white space and names of values."""
    return " ".join(re.sub(r"%[A-Za-z0-9_]+", "%", line).split())


def matches(line, want):
    return line.startswith(want[:-3].rstrip()) if want.endswith("...") else line == want


def missing_line(expected, output):
    """The first expected line that does not follow in the output, or None."""
    lines = [squeeze(line) for line in output.splitlines()]
    position, anywhere = 0, True
    for want in map(squeeze, expected.splitlines()):
        if not want:
            continue
        if want == "...":
            anywhere = True
            continue
        rest = lines[position:]
        found = next((i for i, line in enumerate(rest) if matches(line, want)), None)
        while found is None and rest and rest[0] == "":
            rest = rest[1:]
            position += 1
        if found is None or (not anywhere and any(rest[:found])):
            return want
        position += found + 1
        anywhere = False
    return None


def environment():
    env = dict(os.environ)
    env["PATH"] = os.pathsep.join(
        [str(BUILD / "bin"), str(BUILD / "venv" / "bin"), "/usr/lib/llvm-22/bin", env["PATH"]]
    )
    env["ATTN"] = str(ROOT)
    return env


def run(block, folder):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text], cwd=folder, env=environment(),
        capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (
        f"README.md:{block.line}: exit code {done.returncode}\n{block.text}"
        f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    )
    return done.stdout + done.stderr


def test_every_command_of_the_readme(tmp_path):
    if not (BUILD / "bin" / "attn-opt").exists():
        pytest.skip("attn-opt is not built")
    # The README's commands name files of the checkout by these paths.
    for name in ("build", "test", "tools", "include", "lib", "python"):
        (tmp_path / name).symlink_to(ROOT / name)
    output, ran = None, 0
    for block in blocks(README.read_text()):
        if block.mark.startswith("file: "):
            path = tmp_path / block.mark.removeprefix("file: ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.mark == "output":
            assert output is not None, f"README.md:{block.line}: no command before"
            want = missing_line(block.text, output)
            assert want is None, f"README.md:{block.line}: the output lacks '{want}':\n{output[-3000:]}"
        elif block.language == "bash" and not block.mark.startswith("not run: "):
            output = run(block, tmp_path)
            ran += 1
    assert ran > 0


def test_blocks_are_marked_as_known():
    for block in blocks(README.read_text()):
        assert re.fullmatch(r"(file: \S+|output|not run: .+)?", block.mark), (
            f"README.md:{block.line}: unknown mark '{block.mark}'"
        )
        assert block.language, f"README.md:{block.line}: the block names no language"


def test_files_named_in_the_readme_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert (ROOT / link).exists(), f"README.md links to '{link}', which does not exist"


@pytest.mark.parametrize(
    "expected, output, missing",
    [
        ("a\nb\n", "a\nb\nc\n", None),
        ("a\nc\n", "a\nb\nc\n", "c"),
        ("a\n...\nc\n", "a\nb\nc\n", None),
        ("b\na\n", "a\nb\n", "a"),
        ("x\n", "a\n", "x"),
        ("%sum = f %x\n", "  %3 = f %arg0\n", None),
        ("%sum = f %x\n", "  %3 = g %arg0\n", "% = f %"),
        ("for ...\n", "for all {\n", None),
    ],
)
def test_comparison_of_output_can_fail(expected, output, missing):
    assert missing_line(expected, output) == missing
