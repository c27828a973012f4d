# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The same attention by other projects on a GPU.

Each function takes torch, the case and its tensors, and returns a callable that
queues the work once; it raises an error where the peer cannot do it.
"""

import numpy as np


def _sdpa(torch, case, tensors, backend):
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    q, k, v = (tensors[name] for name in "qkv")
    kind = getattr(SDPBackend, backend)
    grouped = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}

    def run():
        with sdpa_kernel(kind):
            return scaled_dot_product_attention(q, k, v, is_causal=case.is_causal, **grouped)

    run()
    return run


def sdpa_flash(torch, case, tensors):
    return _sdpa(torch, case, tensors, "FLASH_ATTENTION")


def sdpa_cudnn(torch, case, tensors):
    return _sdpa(torch, case, tensors, "CUDNN_ATTENTION")


def flex(torch, case, tensors):
    """FlexAttention, compiled, with the same blocks."""
    from torch.nn.attention.flex_attention import BlockMask, flex_attention

    lists = tensors["lists"].clamp(min=0)
    counts = tensors["counts"]
    blocks = tensors["q"].shape[2] // lists.shape[2]
    # Every list gets the full width that FlexAttention wants.
    wide = torch.zeros(*lists.shape[:3], lists.shape[2], dtype=torch.int32, device=lists.device)
    wide[..., : lists.shape[3]] = lists
    none = torch.zeros_like(counts)
    mask = BlockMask.from_kv_blocks(
        none, torch.zeros_like(wide), full_kv_num_blocks=counts, full_kv_indices=wide,
        BLOCK_SIZE=blocks,
    )
    compiled = torch.compile(flex_attention)
    q, k, v = (tensors[name] for name in "qkv")

    def run():
        return compiled(q, k, v, block_mask=mask)

    run()
    return run


def triton(torch, case, tensors):
    """A kernel of the usual form, with the fastest of a few tile sizes."""
    from attn.bench.gpu_triton import attention

    q, k, v = (tensors[name] for name in "qkv")
    return attention(torch, q, k, v, case.is_causal)


def copy_bandwidth(torch, measure, size=1 << 30):
    """Bytes a second of a copy within the GPU's memory, reads and writes counted."""
    source = torch.empty(size, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    milliseconds = measure(lambda: target.copy_(source))
    return 2 * size / (milliseconds * 1e-3)


def difference(torch, ours, theirs):
    """Largest difference of two results."""
    return float(np.float64((ours.float() - theirs.float()).abs().max().item()))
