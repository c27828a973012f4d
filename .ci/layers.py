#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks who includes whom, and who may name what.

Layers, lowest first; a file includes its own folder or a lower layer:
  0  Dialect/Attn/Utils, Runtime, Emulator  (the last two: no LLVM and no MLIR)
  1  Dialect/*/IR
  2  Dialect/*/Transforms, Conversion/*
  3  Frontend/*, Target/*                 (never each other)
  4  Pipelines, Compiler, InitAll
  5  tools, tests, plugin
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#?\s*include\s+["<]([^">]+)[">]', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
# Masks are created by frontends and by the raising passes, nobody else.
MASK_CREATORS = re.compile(
    r"^(lib|include/attn)/(Frontend/|Dialect/Attn/IR/(Mask/|AttnMaskAttrs)"
    r"|Dialect/Attn/Transforms/Raise)"
)
# Linked into programs that have no compiler.
LIBRARIES = ("Runtime", "Emulator")
GPU_HEADER = re.compile(r"^mlir/(Dialect/(GPU|NVGPU)/|Dialect/LLVMIR/(NVVM|ROCDL))")


def place(path):
    """(layer, folder) of a path below 'attn/' or 'lib/'."""
    parts = path.split("/")
    top = parts[0]
    if top == "Dialect" and len(parts) > 3:
        folder = "/".join(parts[:3])
        layer = {"Utils": 0, "IR": 1, "Transforms": 2}.get(parts[2])
        return (layer, folder)
    if top in LIBRARIES:
        return (0, top)
    if top in ("Conversion", "Frontend", "Target") and len(parts) > 1:
        # A file directly in the folder belongs to the folder's interface.
        folder = "/".join(parts[:2]) if len(parts) > 2 else top
        layer = 2 if top == "Conversion" or len(parts) == 2 else 3
        return (layer, folder)
    if top in ("Pipelines", "Compiler") or top.startswith("InitAll"):
        return (4, top.split(".")[0])
    return (None, top)


def layer_error(path, included):
    """What is wrong with `path` (below lib/ or include/attn/) including `included`."""
    own_layer, own = place(path)
    layer, folder = place(included)
    if own_layer is None:
        return f"is in no known layer; name the folder in {Path(__file__).name}"
    if layer is None:
        return f"includes 'attn/{included}', which is in no known layer"
    if folder == own or layer < own_layer:
        return None
    # A folder's own interface, such as Conversion/Passes.h.
    if layer == own_layer and own.startswith(folder + "/"):
        return None
    # InitAll belongs to Pipelines: both only register what lies below.
    if own_layer == layer == 4:
        return None
    relation = "a higher layer" if layer > own_layer else "a sibling of its layer"
    return f"includes 'attn/{included}', {relation} ({own_layer} {own} -> {layer} {folder})"


def mask_classes():
    text = (ROOT / "include/attn/Dialect/Attn/IR/AttnMaskAttrs.td").read_text()
    names = re.findall(r'^def Attn_\w+\s*:\s*Attn_Mask\w*<"(\w+)"', text, re.MULTILINE)
    return [f"{name}Attr" for name in names]


def check(path, text, masks):
    relative = path.relative_to(ROOT).as_posix()
    below = re.sub(r"^(lib|include/attn)/", "", relative)
    errors = []
    for included in INCLUDE.findall(text):
        if included.startswith("attn/"):
            error = layer_error(below, included.removeprefix("attn/"))
            if error:
                errors.append(error)
        if below.split("/")[0] in LIBRARIES and included.startswith(("mlir", "llvm")):
            errors.append(f"includes '{included}', but this library is free of LLVM and MLIR")
        if GPU_HEADER.match(included) and not below.startswith("Target/NVIDIA/"):
            errors.append(f"includes '{included}', which only Target/NVIDIA may")
    if not MASK_CREATORS.match(relative) and not relative.endswith(".td"):
        code = COMMENT.sub("", text)
        for name in masks:
            if re.search(rf"(?<!\w){name}\b", code):
                errors.append(f"names the mask class '{name}'; use the mask interface")
    return [f"{relative}: {error}" for error in errors]


def self_test():
    """The checker itself must be able to fail."""
    assert place("Dialect/Attn/IR/Mask/Causal.cpp") == (1, "Dialect/Attn/IR")
    assert layer_error("Dialect/Attn/IR/AttnDialect.cpp", "Dialect/Attn/Utils/IndexMath.h") is None
    assert layer_error("Dialect/Attn/IR/AttnDialect.cpp", "Conversion/Passes.h")
    assert layer_error("Target/X86/A.cpp", "Target/NVIDIA/B.h")
    assert layer_error("Frontend/ONNX/A.cpp", "Target/X86/B.h")
    assert layer_error("Runtime/A.cpp", "Dialect/Attn/IR/AttnDialect.h")
    assert layer_error("Compiler/A.cpp", "Target/X86/B.h") is None


def main():
    self_test()
    masks = mask_classes()
    if len(masks) < 5:
        print(f"error: found only the masks {masks}; is the pattern still right?")
        return 1
    files = [
        path
        for folder in ("lib", "include/attn")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".h", ".cpp", ".td") and path.name != "Precompiled.h"
        and path.name != "Precompiled.cpp"
    ]
    errors = [error for path in files for error in check(path, path.read_text(), masks)]
    for error in errors:
        print(error)
    print(f"{len(files)} files, {len(errors)} layering errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
