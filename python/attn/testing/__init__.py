# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Numeric tests of compiled operations: cases as data, executors, comparison."""
