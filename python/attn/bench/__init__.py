# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Benchmarks against peers on the same machine: `python -m attn.bench`."""
