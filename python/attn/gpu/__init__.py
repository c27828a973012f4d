# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks and measurements on a real GPU, from a bundle that needs no compiler."""
