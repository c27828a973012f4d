// The path of attention can be chosen: tile programs or the definition.
//
// RUN: rm -rf %t && mkdir %t
// RUN: attn compile %s --emit tiles --attention plain -o %t/plain.mlir
// RUN: FileCheck %s --check-prefix=PLAIN --input-file %t/plain.mlir
// RUN: attn compile %s --emit tiles --attention tiles -o %t/tiles.mlir
// RUN: FileCheck %s --check-prefix=TILES --input-file %t/tiles.mlir
// RUN: attn run %s --attention plain --input q=1x2x40x8xf32:normal --input kv=1x2x40x8xf32:normal --outputs %t/plain.npz
// RUN: attn run %s --attention tiles --input q=1x2x40x8xf32:normal --input kv=1x2x40x8xf32:normal --expect %t/plain.npz --rtol 1e-5 --atol 1e-6 | FileCheck %s --check-prefix=SAME
// RUN: attn explain %s --attention plain | FileCheck %s --check-prefix=EXPLAIN
// RUN: not attn run %s --attention dense 2>&1 | FileCheck %s --check-prefix=WRONG

// PLAIN-NOT: scf.forall
// PLAIN: linalg.generic
// TILES: scf.forall
// SAME: agrees
// EXPLAIN: plain linalg
// WRONG: error: unknown attention path 'dense'; known are tiles and plain
func.func @main(%q: tensor<1x2x40x8xf32> {attn.name = "q"},
                %kv: tensor<1x2x40x8xf32> {attn.name = "kv"})
    -> tensor<1x2x40x8xf32> {
  %o = attn.attention %q, %kv, %kv mask(#attn.causal)
    : tensor<1x2x40x8xf32>, tensor<1x2x40x8xf32>, tensor<1x2x40x8xf32>
    -> tensor<1x2x40x8xf32>
  return %o : tensor<1x2x40x8xf32>
}
