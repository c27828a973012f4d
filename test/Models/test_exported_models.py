# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every exported model: all attentions recognised, ONNX Runtime's numbers."""

import numpy as np
import pytest

import export_models
from harness import (
    OUTPUT,
    TOLERANCE,
    Compiled,
    Peer,
    command,
    largest_difference,
    padding_mask,
    recognised,
)

CASES = list(export_models.cases())


@pytest.fixture(scope="module")
def compiled():
    """Exports and compiles each case once for all its tests."""
    cache = {}

    def get(case):
        if case.name not in cache:
            result = export_models.export_all(OUTPUT, case.name)[case.name]
            assert not isinstance(result, str), f"the export failed:\n{result}"
            model = result / "model.onnx"
            cache[case.name] = (model, Compiled(model, result), Peer(model))
        return cache[case.name]

    return get


def random_inputs(case, random, batch, sequence, past, mask):
    if case.model == "vit":
        return {"pixel_values": random.standard_normal((batch, 3, 32, 32), dtype=np.float32)}
    total = sequence + past
    inputs = {
        "input_ids": random.integers(0, export_models.VOCABULARY, (batch, sequence)),
        "attention_mask": mask(random, batch, total),
    }
    if case.model == "bert":
        inputs["token_type_ids"] = random.integers(0, 2, (batch, sequence))
    if case.model == "gpt2_past":
        for layer in range(export_models.LAYERS):
            for kind in ("key", "value"):
                inputs[f"past_{layer}_{kind}"] = random.standard_normal(
                    (batch, 4, past, 8), dtype=np.float32
                )
    return inputs


def left_padding(random, batch, sequence):
    return padding_mask(random, batch, sequence)[:, ::-1].copy()


def holes(random, batch, sequence):
    mask = random.integers(0, 2, (batch, sequence))
    mask[:, 0] = 1
    return mask


def nothing_kept(random, batch, sequence):
    mask = padding_mask(random, batch, sequence)
    mask[0] = 0
    return mask


SHAPES = [(1, 1, 1), (2, 7, 5), (3, 16, 3), (1, 33, 9), (2, 2, 0)]
MASKS = {f.__name__: f for f in (padding_mask, left_padding, holes, nothing_kept)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_attentions_recognised(case, compiled):
    model = compiled(case)[0]
    assert recognised(model) == (export_models.LAYERS, 0)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.model.startswith("t5")], ids=lambda case: case.name
)
def test_distances_are_no_bias(case, compiled):
    text = command("explain", compiled(case)[0]).stdout
    assert text.count("score region") == export_models.LAYERS, text
    assert "bias [" not in text, text
    assert text.count("causal") >= export_models.LAYERS * case.model.endswith("decoder"), text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_numbers_of_onnxruntime(case, compiled):
    _, ours, peer = compiled(case)
    random = np.random.default_rng(7)
    compared, wrong = 0, []
    for mask_name, mask in MASKS.items():
        for batch, sequence, past in SHAPES:
            inputs = random_inputs(
                case, random, batch, sequence, past if case.model == "gpt2_past" else 0, mask
            )
            try:
                expected = peer(inputs)
            except Exception:
                # Some exporters fix a shape; the peer refuses it as well.
                continue
            difference = largest_difference(ours(inputs), expected)
            compared += 1
            if not difference <= TOLERANCE:
                wrong.append(f"{batch}x{sequence} past {past} {mask_name}: {difference:.2e}")
        if case.model == "vit":
            break
    assert compared >= 3, "the peer refused nearly all shapes"
    assert not wrong, "differs from onnxruntime:\n" + "\n".join(wrong)
