# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Configuration of the lit tests. Run them with: lit -v build/test
import os

import lit.formats
import lit.util

config.name = "attn"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "lit.cfg.py", "unit", "lib"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.attn_obj_root, "test")

bin_dir = os.path.join(config.attn_obj_root, "bin")
config.environment["PATH"] = os.path.pathsep.join(
    [bin_dir, config.llvm_tools_dir, os.environ.get("PATH", "")]
)
config.environment["FILECHECK_OPTS"] = "-enable-var-scope --dump-input=fail"
config.substitutions.append(("%attn_bin", bin_dir))
config.substitutions.append(("%attn_lib", os.path.join(config.attn_obj_root, "lib")))
config.substitutions.append(("%attn_src", config.attn_src_root))
config.substitutions.append(("%mlir-opt", os.path.join(config.llvm_tools_dir, "mlir-opt")))
if os.environ.get("ATTN_TEST_ROUNDTRIP"):
    config.substitutions.append(("attn-opt ", "attn-opt --verify-roundtrip "))
