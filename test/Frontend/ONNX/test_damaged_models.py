# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""No file crashes the importer: truncated, with flipped bits, or not ONNX."""

import random
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")

NODE_TESTS = Path(onnx.__file__).parent / "backend" / "test" / "data" / "node"
MODELS = [
    "test_attention_4d_with_past_and_present_qk_matmul_bias_expanded",
    "test_attention_3d_gqa_with_past_and_present",
    "test_rotary_embedding_expanded",
    "test_layer_normalization_4d_axis2_expanded",
    "test_if",
    "test_reshape_negative_dim",
    "test_slice_neg_steps",
    "test_affine_grid_2d_expanded",
    "test_constantofshape_int_zeros",
]


def check(importer, files):
    """Every file gets its one answer, and nothing ends the process."""
    code, out, err = importer("--quiet", *files)
    assert code in (0, 1), f"exit code {code}\n{err[-2000:]}"
    answers = [line for line in out.splitlines() if line.startswith(("ok ", "error "))]
    assert len(answers) == len(files)
    return answers


def read(name):
    path = NODE_TESTS / name / "model.onnx"
    if not path.exists():
        pytest.skip("this onnx package has no node tests")
    return path.read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_truncated(importer, tmp_path, name):
    data = read(name)
    files = []
    for size in sorted(set(range(0, len(data), max(1, len(data) // 150))) | {len(data) - 1}):
        files.append(tmp_path / f"{size}.onnx")
        files[-1].write_bytes(data[:size])
    answers = check(importer, files)
    # A file cut inside of the graph cannot be a model.
    assert sum(answer.startswith("error ") for answer in answers) > len(answers) * 3 // 4


@pytest.mark.parametrize("name", MODELS)
def test_flipped_bits(importer, tmp_path, name):
    data = read(name)
    rng = random.Random(name)
    files = []
    for trial in range(150):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        files.append(tmp_path / f"{trial}.onnx")
        files[-1].write_bytes(damaged)
    check(importer, files)


def test_other_files(importer, tmp_path):
    contents = [b"", b"\0" * 100, b"\xff" * 100, b"PK\3\4 a zip file", bytes(range(256)),
                b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x3a\x00", b"\x08\x07"]
    files = []
    for i, content in enumerate(contents):
        files.append(tmp_path / f"{i}.onnx")
        files[-1].write_bytes(content)
    for answer in check(importer, files)[:6]:
        assert answer.startswith("error ") and "not a readable ONNX model" in answer


def test_missing_file(importer, tmp_path):
    code, _, err = importer(tmp_path / "none.onnx")
    assert code == 1 and err.strip() == f"error: {tmp_path}/none.onnx: No such file or directory"


def test_graphs_nested_too_deeply(importer, tmp_path):
    # An attribute holds a graph with one node, and so on.
    def field(number, payload):
        size, prefix = len(payload), bytearray([number << 3 | 2])
        while size >= 128:
            prefix.append(size & 127 | 128)
            size >>= 7
        return bytes(prefix) + bytes([size]) + payload

    graph = b""
    for _ in range(5000):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "deep.onnx"
    path.write_bytes(field(7, graph))
    assert "nested too deeply" in check(importer, [path])[0]


def test_every_node_test_gets_an_answer(importer):
    files = sorted(NODE_TESTS.glob("*/model.onnx"))
    if not files:
        pytest.skip("this onnx package has no node tests")
    answers = check(importer, files)
    inconsistent = [answer for answer in answers if "inconsistent" in answer]
    assert not inconsistent, "\n".join(inconsistent)
