// The plugin brings dialect and passes to a stock mlir-opt. Passes of a plugin
// have no flags there, only names in a pipeline.
// RUN: %mlir-opt %s --load-dialect-plugin=%attn_lib/AttnPlugin.so \
// RUN:   | FileCheck %s --check-prefix=PARSED
// RUN: %mlir-opt %s --load-dialect-plugin=%attn_lib/AttnPlugin.so \
// RUN:   --load-pass-plugin=%attn_lib/AttnPlugin.so \
// RUN:   --pass-pipeline="builtin.module(func.func(attn-decompose))" \
// RUN:   | FileCheck %s --check-prefix=DECOMPOSED

// PARSED: attn.attention %{{.*}}, %{{.*}}, %{{.*}} mask(#attn.causal)
// DECOMPOSED-NOT: attn.
// DECOMPOSED: linalg.contract
func.func @attention(%q: tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32> {
  %o = attn.attention %q, %q, %q mask(#attn.causal)
    : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>
    -> tensor<1x2x?x8xf32>
  return %o : tensor<1x2x?x8xf32>
}
