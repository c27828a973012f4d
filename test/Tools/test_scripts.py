# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The shell scripts' outer behaviour, and that the source checks can fail."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["tools/setup.sh", "tools/check.sh", "tools/quickstart.sh"]


def run(script, *arguments, cwd="/"):
    return subprocess.run(
        ["bash", str(ROOT / script), *arguments], cwd=cwd, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script):
    done = run(script, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: {script}")


@pytest.mark.parametrize("script", SCRIPTS)
def test_unknown_option(script):
    done = run(script, "--no-such-option")
    assert done.returncode == 2
    assert done.stderr == (
        f"error: unknown option '--no-such-option'; see {script} --help\n"
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_bad_number_of_jobs(script):
    done = run(script, "--jobs", "none")
    assert done.returncode == 2
    assert done.stderr == "error: --jobs is 'none'; expected a positive number\n"


def test_unknown_purpose():
    done = run("tools/setup.sh", "--for", "fun")
    assert done.returncode == 2
    assert done.stderr == "error: --for is 'fun'; expected quickstart or check\n"


def test_unknown_suite():
    done = subprocess.run(
        [sys.executable, str(ROOT / "test" / "run_suites.py"), "--only", "nothing"],
        capture_output=True, text=True,
    )
    assert done.returncode == 2
    assert "unknown suite 'nothing'" in done.stderr


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("int x;\n", "lack"),
        ("// {licence}\n" + "int x;\n" * 900, "at most 800"),
        ("// {licence}\nint x; \n", "white space"),
        ("// {licence}\n\tint x;\n", "has a tab"),
        ("// {licence}\nint x;", "newline"),
        ("// {licence}\n// TO" + "DO: more\n", "open end"),
    ],
)
def test_source_check_finds(text, complaint, tmp_path, monkeypatch):
    source = load("source")
    monkeypatch.setattr(source, "ROOT", tmp_path)
    path = tmp_path / "a.cpp"
    path.write_text(text.replace("{licence}", source.LICENCE))
    errors = source.check(path)
    assert len(errors) == 1 and complaint in errors[0]


@pytest.mark.parametrize(
    "path, text, complaint",
    [
        ("lib/Frontend/ONNX/A.cpp", '#include "attn/Target/X86/B.h"\n', "sibling"),
        ("lib/Dialect/Attn/IR/A.cpp", '#include "attn/Conversion/Passes.h"\n', "higher layer"),
        ("lib/Runtime/A.cpp", '#include "llvm/ADT/Twine.h"\n', "free of LLVM"),
        ("lib/Target/X86/A.cpp", '#include "mlir/Dialect/GPU/IR/GPUDialect.h"\n', "NVIDIA"),
        ("lib/Target/X86/A.cpp", "if (isa<CausalAttr>(mask))\n", "mask class"),
    ],
)
def test_layer_check_finds(path, text, complaint):
    layers = load("layers")
    errors = layers.check(ROOT / path, text, layers.mask_classes())
    assert len(errors) == 1 and complaint in errors[0]
