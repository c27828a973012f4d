# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every example of the generated reference is parsed and verified.

The reference lies in docs/ of the build folder (target attn-doc). An example
is a fence marked 'mlir', whose parts before and after a line '==>' stand
alone, or a line 'Example: `#attribute`'. Where it is no whole function, the
test puts it in one, with an argument for each value that it does not define.
"""

import os
import re
import subprocess
import unittest
from pathlib import Path

BUILD = Path(os.environ.get("ATTN_BUILD_DIR", Path(__file__).parents[2] / "build"))
FENCE = re.compile(r"^[ ]*```mlir\n(.*?)^[ ]*```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"^[ ]*Example: `(#[^`]+)`", re.MULTILINE)
OPERATION = re.compile(r"^### `([\w.]+)` \(", re.MULTILINE)
VALUE = re.compile(r"%[\w$.-]+")
DEFINED = re.compile(r"^\s*(%[\w$.-]+(?::\d+)?(?:\s*,\s*%[\w$.-]+)*)\s*=", re.MULTILINE)
# Arguments of a region.
INNER = re.compile(r"\((%[^()]*: [^()]*)\) \{$", re.MULTILINE)
WRONG_TYPE = re.compile(
    r"use of value '(%[\w$.-]+)' expects different type than prior uses: "
    r"'([^']+)' vs 'none'"
)


def parse(text):
    """None, or the message of attn-opt."""
    done = subprocess.run(
        [BUILD / "bin" / "attn-opt", "-"], input=text, capture_output=True, text=True
    )
    return None if done.returncode == 0 else done.stderr


def complete(example):
    """The example as a module; the types of its arguments are found out from
    the parser, which names the type that each use of a value asks for."""
    if "func.func" in example or "module" in example:
        return example
    if example.lstrip().startswith("#"):
        return f"func.func private @example() attributes {{a = {example}}}"
    defined = {n for line in DEFINED.findall(example) + INNER.findall(example) for n in VALUE.findall(line)}
    free = [v for v in dict.fromkeys(VALUE.findall(example)) if v not in defined]
    types = dict.fromkeys(free, "none")
    while True:
        arguments = ", ".join(f"{name}: {type}" for name, type in types.items())
        text = f"func.func @example({arguments}) {{\n{example}\nreturn\n}}\n"
        message = parse(text)
        found = WRONG_TYPE.search(message or "")
        if not found or types.get(found[1]) != "none":
            return text
        types[found[1]] = found[2]


def split(text):
    return [part for part in re.split(r"^\s*==>\s*$", text, flags=re.MULTILINE) if part.strip()]


class TestExamples(unittest.TestCase):
    def pages(self):
        pages = sorted((BUILD / "docs").glob("*.md"))
        self.assertTrue(pages, f"no pages in {BUILD / 'docs'}: build the target attn-doc")
        return [(page.name, page.read_text()) for page in pages]

    def test_examples_parse(self):
        count = 0
        for name, text in self.pages():
            examples = [part for fence in FENCE.findall(text) for part in split(fence)]
            for example in examples + INLINE.findall(text):
                count += 1
                with self.subTest(page=name, example=example):
                    whole = complete(example)
                    message = parse(whole)
                    if message:
                        self.fail(f"{message}\nin the example\n{whole}")
        self.assertGreaterEqual(count, 14)

    def test_operations_and_attributes_have_examples(self):
        for name, text in self.pages():
            sections = re.split(r"^(?=###? )", text, flags=re.MULTILINE)
            for section in sections:
                title = OPERATION.match(section)
                if title:
                    with self.subTest(page=name, operation=title[1]):
                        self.assertIn(title[1], " ".join(FENCE.findall(section)))
                elif re.match(r"### \w+Attr$", section.splitlines()[0]):
                    with self.subTest(page=name, attribute=section.splitlines()[0]):
                        self.assertTrue(INLINE.search(section) or FENCE.search(section))

    def test_a_wrong_example_fails(self):
        for example in [
            "%r = attn.rope %x, %c, %c : tensor<1x2x3x4xf32>, tensor<9x2xf32>",
            "#attn.nonsense",
            "%r = attn.nonsense %x : tensor<4xf32>",
        ]:
            self.assertIsNotNone(parse(complete(example)))


if __name__ == "__main__":
    unittest.main()
