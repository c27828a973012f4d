// Attention of one batch entry, one head and one tile of rows is a tile program
// as any other: its loops of one iteration stay until their bodies are vectors.
//
// RUN: attn-opt %s --attn-to-tiles | FileCheck %s --check-prefix=TILES
// RUN: attn compile %s --emit bufferized -o %t.mlir
// RUN: FileCheck %s --check-prefix=VECTORS --input-file %t.mlir

// TILES-LABEL: func.func @main
// TILES: scf.forall (%{{.*}}, %{{.*}}, %{{.*}}) in (1, 1, 1)
// VECTORS-LABEL: func.func @main
// VECTORS: call @[[BODY:main_parallel[_0-9]*]](%c0, %c0, %c0,
// VECTORS: func.func private @[[BODY]]
// VECTORS: math.fma {{.*}} : vector<16xf32>
func.func @main(%q: tensor<1x1x40x16xf32>, %kv: tensor<1x1x64x16xf32>)
    -> tensor<1x1x40x16xf32> {
  %o = attn.attention %q, %kv, %kv mask(#attn.causal)
    : tensor<1x1x40x16xf32>, tensor<1x1x64x16xf32>, tensor<1x1x64x16xf32>
    -> tensor<1x1x40x16xf32>
  return %o : tensor<1x1x40x16xf32>
}
