# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Decoding over pages copies neither the pool nor the keys of a request."""

import numpy as np

import attn

PROGRAM = """
func.func @main(%q: tensor<?x8x1x64xf32> {attn.name = "q"}, %k: tensor<?x2xPAGEx64xf32> {attn.name = "k"},
                %v: tensor<?x2xPAGEx64xf32> {attn.name = "v"}, %t: tensor<?x?xi32> {attn.name = "t"},
                %n: tensor<?xi64> {attn.name = "n"}) -> (tensor<?x8x1x64xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %v pages(%t : tensor<?x?xi32>) kv_lengths(%n : tensor<?xi64>)
    : tensor<?x8x1x64xf32>, tensor<?x2xPAGEx64xf32>, tensor<?x2xPAGEx64xf32> -> tensor<?x8x1x64xf32>
  return %o : tensor<?x8x1x64xf32>
}
"""


def test_the_pool_is_not_copied(tmp_path):
    for page in (16, 128, 12):
        source = tmp_path / f"paged{page}.mlir"
        source.write_text(PROGRAM.replace("PAGE", str(page)))
        model = attn.load(source)
        batch, keys = 2, 4096 // page * page
        numbers = keys // page
        k = np.ones((batch * numbers, 2, page, 64), np.float32)
        table = np.arange(batch * numbers, dtype=np.int32).reshape(batch, numbers)
        given = {"q": np.ones((batch, 8, 1, 64), np.float32), "k": k, "v": k, "t": table,
                 "n": np.full(batch, keys)}
        assert np.allclose(model.run(given)["o"], 1)
        # The parts' results, 512 keys each, and bounds of each batch entry.
        assert model.peak_bytes < k.nbytes / 16, page
