// A layer of width 64 that would have 8 heads of width 8 and has 4 query heads
// over 2 key heads (arXiv:2510.01817). Only the sizes differ from other layers.
//
// RUN: attn compile %s --emit tiles -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: attn explain %s | FileCheck %s --check-prefix=EXPLAIN

// One program runs over 4 heads, not 8.
// CHECK: scf.forall ({{.*}}) in (%{{.*}}, 4, %{{.*}})
// EXPLAIN: 4/2
func.func @main(%x: tensor<?x?x64xf32> {attn.name = "x", attn.dims = ["batch", "length", ""]},
                %wq: tensor<64x32xf32> {attn.name = "wq"},
                %wk: tensor<64x16xf32> {attn.name = "wk"},
                %wv: tensor<64x16xf32> {attn.name = "wv"},
                %wo: tensor<32x64xf32> {attn.name = "wo"})
    -> (tensor<?x?x64xf32> {attn.name = "y"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = arith.constant 0.0 : f32
  %batch = tensor.dim %x, %c0 : tensor<?x?x64xf32>
  %length = tensor.dim %x, %c1 : tensor<?x?x64xf32>
  %rows = arith.muli %batch, %length : index
  %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<?x?x64xf32> into tensor<?x64xf32>

  %qe = tensor.empty(%rows) : tensor<?x32xf32>
  %qz = linalg.fill ins(%zero : f32) outs(%qe : tensor<?x32xf32>) -> tensor<?x32xf32>
  %q2 = linalg.matmul ins(%flat, %wq : tensor<?x64xf32>, tensor<64x32xf32>)
                      outs(%qz : tensor<?x32xf32>) -> tensor<?x32xf32>
  %ke = tensor.empty(%rows) : tensor<?x16xf32>
  %kz = linalg.fill ins(%zero : f32) outs(%ke : tensor<?x16xf32>) -> tensor<?x16xf32>
  %k2 = linalg.matmul ins(%flat, %wk : tensor<?x64xf32>, tensor<64x16xf32>)
                      outs(%kz : tensor<?x16xf32>) -> tensor<?x16xf32>
  %v2 = linalg.matmul ins(%flat, %wv : tensor<?x64xf32>, tensor<64x16xf32>)
                      outs(%kz : tensor<?x16xf32>) -> tensor<?x16xf32>

  %q4 = tensor.expand_shape %q2 [[0, 1], [2, 3]] output_shape [%batch, %length, 4, 8]
    : tensor<?x32xf32> into tensor<?x?x4x8xf32>
  %k4 = tensor.expand_shape %k2 [[0, 1], [2, 3]] output_shape [%batch, %length, 2, 8]
    : tensor<?x16xf32> into tensor<?x?x2x8xf32>
  %v4 = tensor.expand_shape %v2 [[0, 1], [2, 3]] output_shape [%batch, %length, 2, 8]
    : tensor<?x16xf32> into tensor<?x?x2x8xf32>
  %qt = tensor.empty(%batch, %length) : tensor<?x4x?x8xf32>
  %kt = tensor.empty(%batch, %length) : tensor<?x2x?x8xf32>
  %q = linalg.transpose ins(%q4 : tensor<?x?x4x8xf32>) outs(%qt : tensor<?x4x?x8xf32>)
    permutation = [0, 2, 1, 3]
  %k = linalg.transpose ins(%k4 : tensor<?x?x2x8xf32>) outs(%kt : tensor<?x2x?x8xf32>)
    permutation = [0, 2, 1, 3]
  %v = linalg.transpose ins(%v4 : tensor<?x?x2x8xf32>) outs(%kt : tensor<?x2x?x8xf32>)
    permutation = [0, 2, 1, 3]

  %o = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<?x4x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> -> tensor<?x4x?x8xf32>

  %ot = tensor.empty(%batch, %length) : tensor<?x?x4x8xf32>
  %tokens = linalg.transpose ins(%o : tensor<?x4x?x8xf32>) outs(%ot : tensor<?x?x4x8xf32>)
    permutation = [0, 2, 1, 3]
  %o2 = tensor.collapse_shape %tokens [[0, 1], [2, 3]] : tensor<?x?x4x8xf32> into tensor<?x32xf32>
  %ye = tensor.empty(%rows) : tensor<?x64xf32>
  %yz = linalg.fill ins(%zero : f32) outs(%ye : tensor<?x64xf32>) -> tensor<?x64xf32>
  %y2 = linalg.matmul ins(%o2, %wo : tensor<?x32xf32>, tensor<32x64xf32>)
                      outs(%yz : tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = tensor.expand_shape %y2 [[0, 1], [2]] output_shape [%batch, %length, 64]
    : tensor<?x64xf32> into tensor<?x?x64xf32>
  return %y : tensor<?x?x64xf32>
}
