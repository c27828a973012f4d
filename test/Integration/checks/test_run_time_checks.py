# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What types leave open and code checks when it runs."""

import numpy as np
import pytest

import attn

PROGRAM = """
func.func @main(%q: tensor<1x2x?x8xf32> {attn.name = "q"}, %k: tensor<1x2x?x8xf32> {attn.name = "k"},
                %m: tensor<1x1x?x?xi1> {attn.name = "m"}) -> (tensor<1x2x?x8xf32> {attn.name = "o"}) {
  %o = attn.attention %q, %k, %k
    mask(#attn.blocks<q_block = 16, kv_block = 8, layout = members>, %m : tensor<1x1x?x?xi1>)
    : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32> -> tensor<1x2x?x8xf32>
  return %o : tensor<1x2x?x8xf32>
}
"""


@pytest.mark.parametrize("attention", ["plain", "tiles"])
def test_listed_blocks_have_the_sizes_of_the_attention(tmp_path, attention):
    source = tmp_path / "members.mlir"
    source.write_text(PROGRAM)
    model = attn.load(source, attention=attention)
    q, k = np.ones((1, 2, 33, 8), np.float32), np.ones((1, 2, 20, 8), np.float32)
    assert model.run({"q": q, "k": k, "m": np.ones((1, 1, 3, 3), bool)})["o"].shape == q.shape
    where = "attn.attention expects dimension {} of the listed blocks of its mask to be the number of {} blocks"
    for shape, dim, blocks in [((2, 3), 2, "query"), ((4, 3), 2, "query"), ((3, 2), 3, "key"), ((3, 4), 3, "key")]:
        with pytest.raises(attn.Error, match=where.format(dim, blocks)):
            model.run({"q": q, "k": k, "m": np.ones((1, 1, *shape), bool)})
    # The model goes on.
    assert (model.run({"q": q, "k": k, "m": np.zeros((1, 1, 3, 3), bool)})["o"] == 0).all()
