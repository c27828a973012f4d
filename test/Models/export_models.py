# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Exports small models with random weights, in the forms that real files have.

Nothing is downloaded: every model is built from a configuration. The result
is one folder per case with `model.onnx` and `case.json`; a case is exported
again only when this file or a package that it uses changes.
"""

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import os
import sys
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
VOCABULARY = 99
LAYERS = 2
# Weights as large as this make softmax rows far from uniform, so that a wrong
# scale, mask or head order shows in the outputs.
SPREAD = 0.3


@dataclass(frozen=True)
class Case:
    model: str
    exporter: str  # "torchscript" or "dynamo"
    opset: int
    attention: str  # "eager" or "sdpa"
    options: tuple = field(default=())

    @property
    def name(self):
        return "-".join([self.model, self.exporter, str(self.opset), self.attention])


def cases():
    for model in ("bert", "distilbert", "gpt2", "gpt2_past", "llama", "vit"):
        for attention in ("eager", "sdpa"):
            yield Case(model, "torchscript", 14, attention)
            yield Case(model, "torchscript", 17, attention)
            yield Case(model, "dynamo", 18, attention)
    for model in ("t5", "t5_decoder"):
        for attention in ("eager", "sdpa"):
            yield Case(model, "torchscript", 17, attention)
    # From opset 23 on the exporter writes the standard Attention operator.
    for model in ("bert", "llama", "vit"):
        yield Case(model, "dynamo", 23, "sdpa")


def make_bert(attention):
    import transformers

    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=LAYERS,
        num_attention_heads=4, intermediate_size=64, max_position_embeddings=64,
        attn_implementation=attention, initializer_range=SPREAD,
    )
    return transformers.BertModel(config, add_pooling_layer=False), token_inputs(
        "input_ids", "attention_mask", "token_type_ids"
    )


def make_distilbert(attention):
    import transformers

    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=LAYERS, n_heads=4, hidden_dim=64,
        max_position_embeddings=64, attn_implementation=attention, initializer_range=SPREAD,
    )
    return transformers.DistilBertModel(config), token_inputs("input_ids", "attention_mask")


def gpt2_config(attention):
    import transformers

    return transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=64,
        attn_implementation=attention, initializer_range=SPREAD, bos_token_id=0, eos_token_id=1,
    )


def make_gpt2(attention):
    import transformers

    model = transformers.GPT2LMHeadModel(gpt2_config(attention))
    return model, token_inputs("input_ids", "attention_mask")


def make_llama(attention):
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        max_position_embeddings=64, attn_implementation=attention, initializer_range=SPREAD,
        bos_token_id=0, eos_token_id=1,
    )
    return transformers.LlamaForCausalLM(config), token_inputs("input_ids", "attention_mask")


def make_vit(attention):
    import torch
    import transformers

    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4,
        intermediate_size=64, image_size=32, patch_size=8, attn_implementation=attention, initializer_range=SPREAD,
    )
    model = transformers.ViTModel(config, add_pooling_layer=False)
    return model, {"pixel_values": (torch.randn(2, 3, 32, 32), {0: "batch"})}


def make_t5(attention, decoder=False):
    """A stack of layers that share a table of relative positions."""
    import torch
    import transformers
    from transformers.models.t5.modeling_t5 import T5Stack

    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=LAYERS, num_heads=4,
        relative_attention_num_buckets=16, relative_attention_max_distance=20,
        is_decoder=decoder, is_encoder_decoder=False, use_cache=False,
        attn_implementation=attention,
    )

    class Stack(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config = None
            self.embed = torch.nn.Embedding(VOCABULARY, config.d_model)
            self.stack = T5Stack(config)
            for parameter in self.parameters():
                torch.nn.init.normal_(parameter, std=SPREAD)

        def forward(self, input_ids, attention_mask):
            return self.stack(
                inputs_embeds=self.embed(input_ids), attention_mask=attention_mask, use_cache=False,
            )

    return Stack(), token_inputs("input_ids", "attention_mask")


def make_t5_decoder(attention):
    return make_t5(attention, decoder=True)


def make_gpt2_past(attention):
    """One call of generation: a cache goes in and a longer one comes out."""
    import torch
    import transformers
    from transformers.cache_utils import DynamicCache

    class WithPast(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask, *past):
            cache = DynamicCache()
            for layer in range(LAYERS):
                cache.update(past[2 * layer], past[2 * layer + 1], layer)
            # Positions go on from the cache, so that every export agrees.
            start = past[0].shape[2]
            position_ids = torch.arange(start, start + input_ids.shape[1]).unsqueeze(0)
            result = self.model(
                input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache,
                position_ids=position_ids, use_cache=True,
            )
            present = [
                tensor
                for layer in range(LAYERS)
                for tensor in (cache.layers[layer].keys, cache.layers[layer].values)
            ]
            return (result.logits, *present)

    model = WithPast(transformers.GPT2LMHeadModel(gpt2_config(attention)))
    inputs = {
        "input_ids": (torch.randint(0, VOCABULARY, (2, 3)), {0: "batch", 1: "sequence"}),
        "attention_mask": (
            torch.ones(2, 8, dtype=torch.int64), {0: "batch", 1: "total_sequence"}),
    }
    for layer in range(LAYERS):
        for kind in ("key", "value"):
            inputs[f"past_{layer}_{kind}"] = (
                torch.randn(2, 4, 5, 8), {0: "batch", 2: "past_sequence"})
    return model, inputs


def token_inputs(*names):
    import torch

    axes = {0: "batch", 1: "sequence"}
    values = {
        "input_ids": torch.randint(0, VOCABULARY, (2, 7)),
        "attention_mask": torch.ones(2, 7, dtype=torch.int64),
        "token_type_ids": torch.zeros(2, 7, dtype=torch.int64),
    }
    # A padded sample, so that no exporter folds the mask away.
    values["attention_mask"][1, 5:] = 0
    return {name: (values[name], axes) for name in names}


def output_names(model):
    if model in ("gpt2", "llama"):
        return ["logits"]
    if model == "gpt2_past":
        present = [f"present_{i}_{kind}" for i in range(LAYERS) for kind in ("key", "value")]
        return ["logits", *present]
    return ["last_hidden_state"]


def output_axes(case):
    axes = {0: "batch"} if case.model == "vit" else {0: "batch", 1: "sequence"}
    return {
        name: {0: "batch", 2: "total_sequence"} if name.startswith("present") else axes
        for name in output_names(case.model)
    }


def export(case, folder):
    import torch

    torch.manual_seed(0)
    model, inputs = globals()[f"make_{case.model}"](case.attention)
    model = model.eval()
    if case.model != "gpt2_past":
        model = first_output(model, list(inputs))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    values = tuple(value for value, _ in inputs.values())
    common = {
        "input_names": list(inputs),
        "output_names": output_names(case.model),
        "opset_version": case.opset,
    }
    with torch.no_grad():
        if case.exporter == "torchscript":
            axes = {name: axis for name, (_, axis) in inputs.items()}
            torch.onnx.export(
                model, values, str(path), dynamo=False, do_constant_folding=True,
                dynamic_axes={**axes, **output_axes(case)}, **common,
            )
        else:
            dims = {
                name: torch.export.Dim.DYNAMIC if name == "total_sequence" else
                torch.export.Dim(name, max=64)
                for name in ("batch", "sequence", "past_sequence", "total_sequence")
            }
            shapes = [
                {axis: dims[name] for axis, name in axes.items()}
                for _, axes in inputs.values()
            ]
            torch.onnx.export(
                model, values, str(path), dynamo=True, external_data=False,
                dynamic_shapes=nested_shapes(case, shapes), **common,
            )
    (folder / "case.json").write_text(json.dumps({
        "name": case.name, "model": case.model, "exporter": case.exporter,
        "opset": case.opset, "attention": case.attention, "attentions": LAYERS,
    }, indent=1))


def nested_shapes(case, shapes):
    # Variable arguments are one entry of the shapes, a tuple.
    if case.model == "gpt2_past":
        return (shapes[0], shapes[1], tuple(shapes[2:]))
    return (tuple(shapes),)


def first_output(model, names):
    """The model with positional inputs, one output and no cache."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *arguments):
            options = {"use_cache": False} if hasattr(model.config, "use_cache") else {}
            return self.model(**dict(zip(names, arguments)), **options)[0]

    return Wrapped()


def versions():
    return {
        name: importlib.metadata.version(name)
        for name in ("torch", "transformers", "onnx", "onnxscript")
    }


def fingerprint():
    text = Path(__file__).read_bytes() + json.dumps(versions()).encode()
    return hashlib.sha256(text).hexdigest()


def export_all(root, pattern=""):
    """Exports what is missing; returns {case name: folder or error text}."""
    results = {}
    wanted = fingerprint()
    for case in cases():
        if pattern not in case.name:
            continue
        folder = Path(root) / case.name
        stamp = folder / "stamp"
        error = folder / "error.txt"
        if not (stamp.is_file() and stamp.read_text() == wanted):
            folder.mkdir(parents=True, exist_ok=True)
            error.unlink(missing_ok=True)
            (folder / "model.onnx").unlink(missing_ok=True)
            try:
                with open(folder / "export.log", "w") as log, contextlib.redirect_stdout(
                    log
                ), contextlib.redirect_stderr(log), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    export(case, folder)
            except Exception:  # an exporter may fail in any way; the test says so
                error.write_text(traceback.format_exc())
            stamp.write_text(wanted)
        results[case.name] = error.read_text() if error.is_file() else folder
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="where the models go, such as build/test/models")
    parser.add_argument("--only", default="", help="part of a case's name")
    args = parser.parse_args()
    bad = 0
    for name, result in export_all(args.folder, args.only).items():
        if isinstance(result, str):
            bad += 1
            print(f"{name}: {result.strip().splitlines()[-1]}")
        else:
            print(f"{name}: {(result / 'model.onnx').stat().st_size} bytes")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
