# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiled programs: from a bundle, or made here where there is a compiler."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import attn


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def bundle_folder():
    """Folder of the bundle that this package lies in, or None. ATTN_BUNDLE names another."""
    folder = Path(os.environ.get("ATTN_BUNDLE", Path(__file__).resolve().parents[3]))
    return folder if (folder / "manifest.json").exists() else None


class Store:
    """Libraries by program and target."""

    def __init__(self, folder=None):
        self.folder = Path(folder) if folder else bundle_folder()
        self.manifest = {}
        if self.folder:
            self.manifest = json.loads((self.folder / "manifest.json").read_text())
        self._temporary = None

    def library(self, text, target):
        """Path of the compiled program `text`; compiles it where no bundle has it."""
        key = f"{digest(text)}-{target}"
        if self.folder:
            entry = self.manifest["libraries"].get(key)
            if entry is None:
                raise attn.Error("the bundle lacks this program; pack it again from this version")
            if "error" in entry:
                raise attn.Error(entry["error"])
            return self.folder / entry["file"]
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="attn-gpu-")
        path = Path(self._temporary.name) / f"{key}.so"
        if not path.exists():
            source = path.with_suffix(".mlir")
            source.write_text(text)
            attn.compile(source, path, target=target)
        return path

    def load(self, text, target):
        return attn.load(self.library(text, target))
