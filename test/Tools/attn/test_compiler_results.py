# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the command makes of each result of the compiler, and of its crashes."""

import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest

CLANG = "/usr/lib/llvm-22/bin/clang"
onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="session")
def stub(root, tmp_path_factory):
    """The environment in which the command loads the stub."""
    folder = tmp_path_factory.mktemp("stub")
    source = Path(__file__).resolve().parent / "Inputs" / "stub_compiler.c"
    subprocess.run(
        [CLANG, "-shared", "-fPIC", "-I", root / "include", source, "-o",
         folder / "libAttnCompiler.so"],
        check=True,
    )
    return {"ATTN_LIB_DIR": str(folder)}


@pytest.fixture
def make_case(tmp_path):
    """Makes a case: what its model says, and what its data sets expect."""

    def make(name, word, factors=(2,), dtype=np.float32, data_json=None):
        folder = tmp_path / "cases" / name
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_text(word)
        if data_json is not None:
            (folder / "data.json").write_text(data_json)
        x = np.array([1, 2, 3], np.float32)
        for index, factor in enumerate(factors):
            data = folder / f"test_data_set_{index}"
            data.mkdir()
            for stem, array in (("input_0", x), ("output_0", (x * factor).astype(dtype))):
                proto = onnx.numpy_helper.from_array(array, stem)
                (data / f"{stem}.pb").write_bytes(proto.SerializeToString())
        return folder

    return make


@pytest.mark.parametrize("jobs", [1, 3, 100])
def test_every_kind_of_case(attn, stub, make_case, jobs):
    make_case("a_good", "double", (2, 2))
    make_case("b_second_set_differs", "double", (2, 2.01))
    make_case("c_within_tolerance", "double", (2.001,))
    make_case("d_own_tolerance", "double", (2.01,), data_json='{"rtol": 0.1}')
    make_case("e_unsupported", "unsupported")
    make_case("f_malformed", "nonsense")
    make_case("g_crash", "crash")
    make_case("h_quit", "quit")
    make_case("i_type", "double", dtype=np.float64)
    make_case("j_no_data", "double", ())
    make_case("k_bad_json", "double", data_json="{")
    # The order is that of the names, whatever ends first.
    code, out, err = attn("test", "cases", "--jobs", jobs, environment=stub)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "passed a_good"
    assert lines[1].startswith(
        "failed b_second_set_differs: output 'y' differs at [0]: got 2, expected 2.0"
    )
    assert lines[2:7] == [
        "passed c_within_tolerance",
        "passed d_own_tolerance",
        "skipped e_unsupported: node 'n': operator Foo-7 is unknown",
        "failed f_malformed: the model is malformed; at byte 3",
        "failed g_crash: crashed: Segmentation fault",
    ]
    assert lines[7] == "failed h_quit: ended without a result"
    assert lines[8] == (
        "failed i_type: output 'y' is float32 [3] but expected is float64 [3]"
    )
    assert lines[9] == "failed j_no_data: it has no test_data_set_*"
    assert lines[10].startswith("failed k_bad_json: ") and "data.json" in lines[10]
    assert lines[11:] == ["3 passed, 7 failed, 1 skipped"]


def test_single_cases_and_quiet(attn, stub, make_case):
    good, bad = make_case("good", "double"), make_case("bad", "double", (3,))
    code, out, _ = attn("test", good, environment=stub)
    assert (code, out) == (0, "passed good\n1 passed, 0 failed, 0 skipped\n")
    code, out, _ = attn("test", "-q", f"{good}/", bad, environment=stub)
    assert code == 1
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "failed bad", "1 passed, 1 failed, 0 skipped"
    ]


def test_timeout(attn, stub, make_case):
    slow, good = make_case("slow", "hang"), make_case("zoom", "double")
    code, out, _ = attn("test", slow, good, "--timeout", "1", environment=stub)
    assert code == 1
    assert out.splitlines()[:2] == ["failed slow: no result after 1 s", "passed zoom"]


def test_inputs_that_do_not_fit(attn, stub, make_case):
    case = make_case("case", "double")
    data = case / "test_data_set_0"
    (data / "input_1.pb").write_bytes((data / "input_0.pb").read_bytes())
    assert "2 inputs are given but the module takes 1" in attn("test", case, environment=stub)[1]
    (data / "input_1.pb").unlink()
    (data / "output_1.pb").write_bytes((data / "input_0.pb").read_bytes())
    assert "the model has 1 outputs but" in attn("test", case, environment=stub)[1]
    (data / "output_1.pb").unlink()
    whole = (data / "input_0.pb").read_bytes()
    (data / "input_0.pb").write_bytes(whole[:-1])
    code, out, _ = attn("test", case, environment=stub)
    assert code == 1 and "input_0.pb' is truncated" in out
    text = onnx.numpy_helper.from_array(np.array(["a", "b", "c"], dtype=object))
    (data / "input_0.pb").write_bytes(text.SerializeToString())
    code, out, _ = attn("test", case, environment=stub)
    assert code == 0 and out.startswith("skipped case: ") and "holds strings" in out


def test_lists_of_passes(attn, stub, make_case, tmp_path):
    make_case("a", "double")
    make_case("b", "double", (3,))
    make_case("c", "unsupported")
    attn("test", "cases", "--list-passed", "passed.txt", environment=stub)
    assert (tmp_path / "passed.txt").read_text() == "a\n"
    # A pass that is lost fails, whether it is skipped now or gone.
    (tmp_path / "cases" / "b" / "model.onnx").write_text("unsupported")
    code, _, _ = attn("test", "cases", "--expect-passed", "passed.txt", environment=stub)
    assert code == 0
    (tmp_path / "passed.txt").write_text("# comment\na\nc\nd  # more\n")
    code, out, _ = attn("test", "cases", "--expect-passed", "passed.txt", environment=stub)
    assert code == 1
    assert "failed c: listed in 'passed.txt' as passed but skipped: node 'n'" in out
    assert "failed d: listed in 'passed.txt' but not run" in out
    assert out.endswith("1 passed, 2 failed, 1 skipped\n")


def test_bad_arguments(refuse, stub, make_case):
    make_case("a", "double")
    refuse(1, "it is not a folder", "test", "nowhere", environment=stub)
    refuse(1, "has no model.onnx", "test", ".", environment=stub)
    refuse(1, "cannot open 'no.txt'", "test", "cases", "--expect-passed", "no.txt",
           environment=stub)
    refuse(1, "cannot write 'no/no.txt'", "test", "cases", "--list-passed", "no/no.txt",
           environment=stub)
    refuse(2, "--timeout", "test", "cases", "--timeout", "0", environment=stub)


@pytest.mark.parametrize("command", ["run", "explain", "import", "compile"])
def test_status_codes(refuse, stub, tmp_path, command):
    more = ["-o", "out.so"] if command == "compile" else []
    model = tmp_path / "model.onnx"
    model.write_text("nonsense")
    # A message of two lines becomes one.
    refuse(1, "the model is malformed; at byte 3", command, model, *more, environment=stub)
    model.write_text("unsupported")
    refuse(1, "operator Foo-7 is unknown", command, model, *more, environment=stub)
    if command != "import":
        model.write_text("double")
        refuse(2, "unknown target", command, model, *more, "--target", "z80", environment=stub)


def test_pass_through(attn, stub, tmp_path):
    (tmp_path / "m.onnx").write_text("double")
    assert attn("explain", "m.onnx", environment=stub) == (0, "one two\n", "")
    assert attn("import", "m.onnx", environment=stub) == (0, "to -\n", "")
    assert attn("import", "m.onnx", "-o", "o.mlir", "--elide-weights", environment=stub) == (
        0, "to o.mlir elided\n", ""
    )
    code, out, err = attn("run", "m.onnx", "--input", "x=3xf32:iota", environment=stub)
    assert (code, out, err) == (0, "y: float32 [3], min 0, max 4, mean 2\n", "")


def test_progress_on_a_terminal_only(build, stub, tmp_path):
    (tmp_path / "m.onnx").write_text("double")
    ours, theirs = pty.openpty()
    subprocess.run(
        [build / "bin" / "attn", "explain", tmp_path / "m.onnx"], check=True,
        env={**os.environ, **stub}, stdout=subprocess.DEVNULL, stderr=theirs,
    )
    os.close(theirs)
    text = ""
    try:
        while piece := os.read(ours, 4096).decode():
            text += piece
    except OSError:
        pass  # the terminal's other side is closed and everything is read
    assert "1/2 stub stage" in text
    # The line is removed at the end.
    assert text.endswith("\r\x1b[K")


def test_folder_without_the_library(refuse, tmp_path):
    (tmp_path / "m.onnx").write_text("double")
    (tmp_path / "libAttnCompiler.so").write_bytes(b"no library")
    refuse(1, "cannot load the compiler library", "explain", "m.onnx",
           environment={"ATTN_LIB_DIR": str(tmp_path)})
    other = Path("/lib/x86_64-linux-gnu/libm.so.6").read_bytes()
    (tmp_path / "libAttnCompiler.so").write_bytes(other)
    refuse(1, "belongs to another version", "explain", "m.onnx",
           environment={"ATTN_LIB_DIR": str(tmp_path)})
