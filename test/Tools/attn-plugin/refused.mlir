// A program of another LLVM is told what to do, and the plugin is not loaded.
// RUN: cc -shared -fPIC %S/Inputs/other-llvm.c -o %t.so
// RUN: not env LD_PRELOAD=%t.so %mlir-opt %s \
// RUN:   --load-dialect-plugin=%attn_lib/AttnPlugin.so \
// RUN:   --load-pass-plugin=%attn_lib/AttnPlugin.so 2>&1 \
// RUN:   | FileCheck %s --check-prefix=HOST
// HOST: error: AttnPlugin was built for LLVM 22.{{[0-9.]*}}, but the program that loads it uses LLVM 99.1.0; build the plugin against that LLVM (cmake -DMLIR_DIR=...)
// HOST: Failed to load dialect plugin from '{{.*}}AttnPlugin.so'. Request ignored.
// HOST: Failed to load passes from '{{.*}}AttnPlugin.so'. Request ignored.
// HOST: refused.mlir:{{.*}}error: #"attn"<"causal">{{.*}}unregistered dialect

// Our own programs refuse plugins of another interface, and what is none.
// RUN: cc -shared -fPIC %S/Inputs/other-interface.c -o %t-future.so
// RUN: attn-opt %s --load-dialect-plugin=%t-future.so 2>&1 \
// RUN:   | FileCheck %s --check-prefix=INTERFACE
// INTERFACE: Failed to load dialect plugin from '{{.*}}-future.so'. Request ignored.
// RUN: attn-opt %s --load-pass-plugin=%t.so 2>&1 | FileCheck %s --check-prefix=NONE
// NONE: Failed to load passes from '{{.*}}.so'. Request ignored.
// RUN: attn-opt %s --load-dialect-plugin=%t-absent.so 2>&1 \
// RUN:   | FileCheck %s --check-prefix=ABSENT
// ABSENT: Failed to load dialect plugin from '{{.*}}-absent.so'. Request ignored.

func.func private @mask() attributes {m = #attn.causal}
