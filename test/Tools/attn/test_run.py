# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""attn run on a compiled module: inputs, outputs, comparison, timing."""

import re
import subprocess

import numpy as np

BIAS = np.array([10, 20, 30], np.float32)
A = np.arange(6, dtype=np.float32).reshape(2, 3)
IDS = np.array([4, 5])


def save_inputs(folder):
    np.savez(folder / "in.npz", a=A, ids=IDS)


def test_npz_in_and_out(attn, artifact, tmp_path):
    save_inputs(tmp_path)
    code, out, err = attn("run", artifact, "--inputs", "in.npz", "--outputs", "out.npz")
    assert (code, out, err) == (0, "", "")
    with np.load(tmp_path / "out.npz") as data:
        assert sorted(data.files) == ["count", "sum"]
        np.testing.assert_array_equal(data["sum"], A + BIAS)
        assert data["sum"].dtype == np.float32
        assert data["count"].shape == () and data["count"] == 2


def test_npy_and_generated_inputs(attn, artifact, tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(A))
    code, out, err = attn(
        "run", "model.so", "--input", "a=a.npy", "--input", "ids=2xi64:random(0,1000)"
    )
    assert (code, err) == (0, "")
    assert out == (
        "sum: float32 [2, 3], min 10, max 35, mean 22.5\n"
        "count: int64 [], min 2, max 2, mean 2\n"
    )


def test_input_overrides_inputs(attn, artifact, tmp_path):
    save_inputs(tmp_path)
    code, out, _ = attn("run", artifact, "--inputs", "in.npz", "--input", "a=2x3xf32:zeros")
    assert code == 0
    assert "sum: float32 [2, 3], min 10, max 30, mean 20\n" in out


def test_same_seed_same_numbers(attn, artifact, tmp_path):
    def run(name, *more):
        arguments = ["--input", "a=2x3xf32:normal", "--input", "ids=2xi64:ones"]
        assert attn("run", artifact, *arguments, "--outputs", name, *more)[0] == 0
        return np.load(tmp_path / name)["sum"]

    np.testing.assert_array_equal(run("1.npz"), run("2.npz"))
    assert (run("1.npz") != run("3.npz", "--seed", "1")).all()


def test_empty_batch(attn, artifact):
    code, out, err = attn(
        "run", artifact, "--input", "a=0x3xf32:ones", "--input", "ids=0xi64:ones"
    )
    assert (code, err) == (0, "")
    assert out.startswith("sum: float32 [0, 3]\n")


def test_expect(attn, artifact, tmp_path):
    save_inputs(tmp_path)
    np.savez(tmp_path / "ref.npz", sum=A + BIAS * np.float32(1.001), count=np.int64(2))
    arguments = ["run", artifact, "--inputs", "in.npz", "--expect", "ref.npz"]
    code, out, err = attn(*arguments, "--rtol", "1e-2")
    assert (code, err) == (0, "")
    assert out == (
        "sum: agrees, largest difference 0.03\ncount: agrees, largest difference 0\n"
    )
    code, out, err = attn(*arguments, "--atol", "1e-3", "--rtol", "1e-5")
    assert code == 1
    # Element, both numbers, the file, the output and the tolerance.
    assert re.fullmatch(
        r"error: .*model\.so: output 'sum' differs at \[0, 0\]: got 10, expected "
        r"10\.01\d*; 6 of 6 elements are outside of rtol 1e-05 and atol 0\.001, largest "
        r"difference 0\.0(29|30)\d+\n",
        err,
    ), err


def test_expect_checks_names_types_and_shapes(refuse, artifact, tmp_path):
    save_inputs(tmp_path)
    arguments = ["run", artifact, "--inputs", "in.npz", "--expect", "ref.npz"]
    np.savez(tmp_path / "ref.npz", other=A)
    refuse(1, "expects an output 'other'", *arguments)
    np.savez(tmp_path / "ref.npz", sum=(A + BIAS).astype(np.float64))
    refuse(1, "output 'sum' is float32 [2, 3] but expected is float64 [2, 3]", *arguments)
    np.savez(tmp_path / "ref.npz", sum=(A + BIAS)[:1])
    refuse(1, "expected is float32 [1, 3]", *arguments)
    np.savez(tmp_path / "ref.npz", sum=np.full_like(A, np.nan))
    refuse(1, "expected nan", *arguments)


def test_repeat_and_memory(attn, artifact, tmp_path):
    save_inputs(tmp_path)
    code, out, err = attn(
        "run", artifact, "--inputs", "in.npz", "--outputs", "out.npz",
        "--repeat", "7", "--threads", "1", "--memory",
    )
    assert (code, err) == (0, "")
    assert re.fullmatch(
        r"median \d+\.\d+ ms, min \d+\.\d+ ms over 7 runs\n"
        r"peak memory: \d+\.\d MiB of tensors, \d+\.\d MiB in all\n",
        out,
    ), out


def test_weights_beside_the_module(refuse, artifact, tmp_path):
    save_inputs(tmp_path)
    arguments = ["run", artifact, "--inputs", "in.npz"]
    (tmp_path / "weights.bin").write_bytes(b"short")
    refuse(1, ["'bias' ends at byte 16", "has 5 bytes"], *arguments)
    (tmp_path / "weights.bin").unlink()
    refuse(1, ["weight file not found", str(tmp_path / "weights.bin")], *arguments)


def test_failure_inside_the_module(refuse, artifact):
    refuse(
        1, "model.so: an id is negative",
        "run", artifact, "--input", "a=2x3xf32:ones", "--input", "ids=2xi64:full(-1)",
    )


def test_module_for_another_processor(refuse, compile_artifact):
    flags = open("/proc/cpuinfo").read()
    library = compile_artifact("x86-64-v4")
    inputs = ["--input", "a=2x3xf32:ones", "--input", "ids=2xi64:ones"]
    if "avx512f" in flags:
        refuse(1, "weight file not found", "run", library, *inputs)
    else:
        refuse(1, "compiled for x86-64-v4", "run", library, *inputs)


def test_needs_neither_llvm_nor_protobuf(attn, build, artifact):
    needed = subprocess.run(
        ["ldd", build / "bin" / "attn", build / "lib" / "libAttnRuntime.so", artifact],
        capture_output=True, text=True, check=True,
    ).stdout
    for word in ("LLVM", "MLIR", "protobuf", "onnx", "AttnCompiler", "not found"):
        assert word not in needed, needed
    code, _, log = attn(
        "run", artifact, "--input", "a=2x3xf32:ones", "--input", "ids=2xi64:ones",
        environment={"LD_DEBUG": "files", "LD_LIBRARY_PATH": "", "PATH": ""},
    )
    assert code == 0
    # The log must be one, or the absence of names in it would mean nothing.
    assert "libAttnRuntime.so" in log and "model.so" in log
    for word in ("LLVM", "MLIR", "protobuf", "onnx", "AttnCompiler"):
        assert word not in log
