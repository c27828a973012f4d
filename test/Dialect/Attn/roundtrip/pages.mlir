// RUN: attn-opt %s | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func @pages
//       CHECK:   attn.attention %{{.*}}, %{{.*}}, %{{.*}} kv_lengths(%{{.*}} : tensor<?xi64>) pages(%{{.*}} : tensor<?x?xi32>) : tensor<?x8x1x64xf32>, tensor<?x2x16x64xf32>, tensor<?x2x16x32xf32>
//       CHECK:   attn.kv_append %{{.*}}, %{{.*}} at(%{{.*}} : tensor<?xi64>) pages(%{{.*}} : tensor<?x?xi32>) : tensor<?x2x16x64xf32>, tensor<?x2x1x64xf32> -> tensor<?x2x16x64xf32>
func.func @pages(%q: tensor<?x8x1x64xf32>, %k: tensor<?x2x16x64xf32>, %v: tensor<?x2x16x32xf32>,
                 %new: tensor<?x2x1x64xf32>, %table: tensor<?x?xi32>, %n: tensor<?xi64>)
    -> (tensor<?x8x1x32xf32>, tensor<?x2x16x64xf32>) {
  %o = attn.attention %q, %k, %v pages(%table : tensor<?x?xi32>) kv_lengths(%n : tensor<?xi64>)
    : tensor<?x8x1x64xf32>, tensor<?x2x16x64xf32>, tensor<?x2x16x32xf32> -> tensor<?x8x1x32xf32>
  %k2 = attn.kv_append %k, %new at(%n : tensor<?xi64>) pages(%table : tensor<?x?xi32>)
    : tensor<?x2x16x64xf32>, tensor<?x2x1x64xf32> -> tensor<?x2x16x64xf32>
  return %o, %k2 : tensor<?x8x1x32xf32>, tensor<?x2x16x64xf32>
}

// CHECK-LABEL: func.func @heads
//       CHECK:   kv_lengths(%{{.*}} : tensor<2x4xi64>) {key_head_map = array<i64: 0, 0, 2, 1>, value_head_map = array<i64: 1, 0, 0, 0>} : tensor<2x4x5x8xf32>, tensor<2x3x9x8xf32>, tensor<2x2x9x8xf32>
func.func @heads(%q: tensor<2x4x5x8xf32>, %k: tensor<2x3x9x8xf32>, %v: tensor<2x2x9x8xf32>,
                 %n: tensor<2x4xi64>) -> tensor<2x4x5x8xf32> {
  %o = attn.attention %q, %k, %v kv_lengths(%n : tensor<2x4xi64>)
    {key_head_map = array<i64: 0, 0, 2, 1>, value_head_map = array<i64: 1, 0, 0, 0>}
    : tensor<2x4x5x8xf32>, tensor<2x3x9x8xf32>, tensor<2x2x9x8xf32> -> tensor<2x4x5x8xf32>
  return %o : tensor<2x4x5x8xf32>
}

// Without q_block, all rows are one block.
// CHECK-LABEL: func.func @all_rows
//       CHECK:   mask(#attn.blocks<kv_block = 1>, %{{.*}}, %{{.*}} : tensor<1x1x1x7xi64>, tensor<1x1x1xi64>)
func.func @all_rows(%q: tensor<1x4x50x8xf32>, %i: tensor<1x1x1x7xi64>, %n: tensor<1x1x1xi64>)
    -> tensor<1x4x50x8xf32> {
  %o = attn.attention %q, %q, %q mask(#attn.blocks<kv_block = 1>, %i, %n : tensor<1x1x1x7xi64>, tensor<1x1x1xi64>)
    : tensor<1x4x50x8xf32>, tensor<1x4x50x8xf32>, tensor<1x4x50x8xf32> -> tensor<1x4x50x8xf32>
  return %o : tensor<1x4x50x8xf32>
}

// CHECK-LABEL: func.func @rows_of_heads
//       CHECK:   attn.kv_append %{{.*}}, %{{.*}} at(%{{.*}} : tensor<?x4xi64>) : tensor<?x4x?x8xf32>, tensor<?x4x1x8xf32> -> tensor<?x4x?x8xf32>
func.func @rows_of_heads(%k: tensor<?x4x?x8xf32>, %new: tensor<?x4x1x8xf32>, %at: tensor<?x4xi64>) -> tensor<?x4x?x8xf32> {
  %r = attn.kv_append %k, %new at(%at : tensor<?x4xi64>)
    : tensor<?x4x?x8xf32>, tensor<?x4x1x8xf32> -> tensor<?x4x?x8xf32>
  return %r : tensor<?x4x?x8xf32>
}
