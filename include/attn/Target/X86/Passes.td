//===- Passes.td - From linalg on tensors to LLVM for x86 -----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_X86_PASSES_TD
#define ATTN_TARGET_X86_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnDecomposeAggregatesPass
    : Pass<"attn-decompose-aggregates", "::mlir::func::FuncOp"> {
  let summary = "split linalg.softmax and its like into simple operations";
  let description = [{
    Post: no `linalg` operation with a decomposition of its own, such as
    `linalg.softmax`, is left; `tensor.concat` becomes insertions.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"
  ];
}

def AttnFormMatmulsPass : Pass<"attn-form-matmuls", "::mlir::func::FuncOp"> {
  let summary = "give matrix products to the runtime's library";
  let description = [{
    Pre:  `linalg` on tensors after elementwise fusion, before
          `attn-lower-weights`.
    Post: contractions that are a product of matrices or of batches of them in
          f32 or bf16 are `attn_rt.matmul`. A bias that is a model constant and
          an activation right after the product move into it.

    ```mlir
    func.func @product(%a: tensor<4x8xf32>, %b: tensor<8x3xf32>) -> tensor<4x3xf32> {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<4x3xf32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x3xf32>) -> tensor<4x3xf32>
      %c = linalg.matmul ins(%a, %b : tensor<4x8xf32>, tensor<8x3xf32>)
        outs(%init : tensor<4x3xf32>) -> tensor<4x3xf32>
      return %c : tensor<4x3xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::attn::rt::AttnRTDialect"];
}

def AttnFormConvolutionsPass
    : Pass<"attn-form-convolutions", "::mlir::func::FuncOp"> {
  let summary = "give convolutions to the runtime's library";
  let description = [{
    Pre:  `linalg` on tensors, before `attn-lower-weights`.
    Post: convolutions over one to three dimensions, with channels first and
          with or without groups, of f32 or of bf16 into f32, are
          `attn_rt.conv` if they start from zero. Zero padding of the input, a
          bias that is a model constant and an activation move into them.

    ```mlir
    func.func @conv(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x3x3xf32>) -> tensor<1x4x6x6xf32> {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<1x4x6x6xf32>
      %init = linalg.fill ins(%zero : f32) outs(%empty : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
      %y = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<1x3x8x8xf32>, tensor<4x3x3x3xf32>)
        outs(%init : tensor<1x4x6x6xf32>) -> tensor<1x4x6x6xf32>
      return %y : tensor<1x4x6x6xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::attn::rt::AttnRTDialect"];
}

def AttnDropUnitDimsPass : Pass<"attn-drop-unit-dims", "::mlir::func::FuncOp"> {
  let summary = "loops of one iteration disappear from linalg.generic";
  let description = [{
    Pre:  tensors, after elementwise fusion.
    Post: no `linalg.generic` has a dimension of static size 1, but for
          positions of windows; reshapes stand between it and tensors that
          have. So the mean of a row that was kept as `[b, s, 1]` and the row
          itself have the same leading dimensions, which `attn-lower-rows` asks
          for.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def AttnLowerRowsPass : Pass<"attn-lower-rows", "::mlir::func::FuncOp"> {
  let summary = "fuse neighbouring linalg operations into vector loops over rows";
  let description = [{
    Pre:  `linalg` on buffers, right after bufferization; of tile programs
          (`scf.forall`) only reductions of one whole row are lowered.
    Post: no `linalg` operation outside tile programs. Neighbours that agree on
          their leading parallel sizes (rows), such as the parts of a softmax
          or of a layer norm, share one loop over rows, in which buffers that
          nothing else uses hold one row only. The innermost contiguous
          dimension runs over the lanes of vectors, its rest under a mask.
          Loops with enough work are `scf.forall` over chunks of rows.
  }];
  let options = [
    Option<"lanes", "lanes", "int64_t", "16", "elements of a vector">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def AttnApproximateMathPass
    : Pass<"attn-approximate-math", "::mlir::func::FuncOp"> {
  let summary = "compute exp, tanh, erf and log of vectors by polynomials";
  let description = [{
    Post: these functions of vectors of f32, f16 or bf16 are arithmetic, good
          to a few units in the last place of f32. Scalars stay calls.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def AttnSeparateFillsPass
    : Pass<"attn-separate-fills", "::mlir::func::FuncOp"> {
  let summary = "give each reduction a start value of its own";
  let description = [{
    Pre:  tensors, right before bufferization and after the last CSE.
    Post: outside tile programs no two operations share the `linalg.fill` that
          they start from, which would be kept and copied for each.
  }];
  let dependentDialects = [
    "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"
  ];
}

def AttnHoistWeightsPass : Pass<"attn-hoist-weights", "::mlir::ModuleOp"> {
  let summary = "compute what depends on weights only once";
  let description = [{
    Pre:  tensors, after `attn-form-matmuls` and before elementwise fusion and
          `attn-lower-weights`.
    Post: public functions have no computation on weights and constants alone,
          such as dequantization, casts and transposes, except for views,
          repetition of elements, and single numbers. Its results are
          `attn_rt.prepared`, and a new function `attn_init` computes them.

    ```mlir
    func.func @main(%x: tensor<4x64xf32>) -> tensor<4x64xf32> {
      %w = attn_rt.weight "w" from "w.bin" at 0 : tensor<64x64xf16>
      %e = tensor.empty() : tensor<64x64xf32>
      %wide = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
                              iterator_types = ["parallel", "parallel"]}
          ins(%w : tensor<64x64xf16>) outs(%e : tensor<64x64xf32>) {
      ^bb0(%in: f16, %out: f32):
        %f = arith.extf %in : f16 to f32
        linalg.yield %f : f32
      } -> tensor<64x64xf32>
      %o = tensor.empty() : tensor<4x64xf32>
      %y = attn_rt.matmul none ins(%x, %wide : tensor<4x64xf32>, tensor<64x64xf32>)
        outs(%o : tensor<4x64xf32>) -> tensor<4x64xf32>
      return %y : tensor<4x64xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::func::FuncDialect", "::mlir::attn::rt::AttnRTDialect"
  ];
}

def AttnLowerWeightsPass : Pass<"attn-lower-weights", "::mlir::ModuleOp"> {
  let summary = "number the weights and read them through the runtime";
  let description = [{
    Pre:  `attn_rt.weight` on tensors, before bufferization.
    Post: each distinct weight has an entry in the module's attribute
          `attn.weights`, in order of the numbers in `attn_rt.weight_buffer`.
          The tensors of `attn_rt.prepared` have the numbers after these.
  }];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::memref::MemRefDialect", "::mlir::attn::rt::AttnRTDialect"
  ];
}

def AttnLowerCopiesPass : Pass<"attn-lower-copies", "::mlir::func::FuncOp"> {
  let summary = "turn copies of strided buffers into loops";
  let description = [{
    Pre:  `memref.copy` on buffers.
    Post: the only `memref.copy` left are those between dense buffers, which
          become calls of memcpy; LLVM's lowering of the others needs a support
          library.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
}

def AttnLowerRuntimePass : Pass<"attn-lower-runtime", "::mlir::ModuleOp"> {
  let summary = "turn attn_rt operations into calls of the runtime";
  let description = [{
    Pre:  `attn_rt` operations and `cf.assert` in functions on buffers.
    Post: calls of `attn_rt_*` functions; no `attn_rt` operation is left, and
          reshapes of dense buffers are `memref.reinterpret_cast`.
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect"
  ];
}

def AttnDeallocateBuffersPass
    : Pass<"attn-deallocate-buffers", "::mlir::ModuleOp"> {
  let summary = "free each buffer after its last use";
  let description = [{
    Pre:  no tensors. Functions marked `attn.outlined` keep their memory on
          the stack and are left alone.
    Post: upstream's ownership-based `bufferization.dealloc` operations.
  }];
  let dependentDialects = [
    "::mlir::bufferization::BufferizationDialect",
    "::mlir::memref::MemRefDialect", "::mlir::scf::SCFDialect",
    "::mlir::arith::ArithDialect"
  ];
}

def AttnLowerParallelPass : Pass<"attn-lower-parallel", "::mlir::ModuleOp"> {
  let summary = "run parallel loops on the runtime's threads";
  let description = [{
    Pre:  each `scf.parallel` to run on threads calls one function and does
          nothing else (`attn-outline-parallel`).
    Post: these are calls of `attn_rt_parallel_for` with a function that runs
          a range of the linearized iterations. Others stay.
  }];
  let dependentDialects = [
    "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::arith::ArithDialect", "::mlir::scf::SCFDialect"
  ];
}

def AttnEmitEntryPass : Pass<"attn-emit-entry", "::mlir::ModuleOp"> {
  let summary = "add the entry point that the runtime calls";
  let description = [{
    Pre:  the `llvm` dialect, with the C wrapper of the entry function.
    Post: a function `attn_packed_main(void **)`, another one
          `attn_packed_init` if there is `attn_init`, the JSON text
          `attn_metadata`, and memory through `attn_rt_alloc` and
          `attn_rt_free`, or of a device through `attn_gpu_alloc` and
          `attn_gpu_free`. Everything else is internal.
  }];
  let options = [
    Option<"metadata", "metadata", "std::string", "", "JSON text to embed">,
    Option<"entry", "entry", "std::string", "\"main\"", "entry function">,
    Option<"onDevice", "on-device", "bool", "false",
           "buffers lie in the memory of a device">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def AttnMoveBF16Pass : Pass<"attn-move-bf16", "::mlir::ModuleOp"> {
  let summary = "move bf16 values as 16-bit integers";
  let description = [{
    Pre:  the LLVM dialect, where arithmetic on bf16 is expanded.
    Post: loads, stores, selects and shuffles see integers. For a processor
          without bf16 instructions LLVM would compute a masked load or a
          select in f32, and call a function to round each element back.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // ATTN_TARGET_X86_PASSES_TD
