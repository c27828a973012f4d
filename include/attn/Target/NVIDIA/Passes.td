//===- Passes.td - From tile programs to kernels for NVIDIA ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef ATTN_TARGET_NVIDIA_PASSES_TD
#define ATTN_TARGET_NVIDIA_PASSES_TD

include "mlir/Pass/PassBase.td"

def AttnGpuParallelizePass
    : Pass<"attn-gpu-parallelize", "::mlir::func::FuncOp"> {
  let summary = "work outside of tile programs becomes parallel loops over elements";
  let description = [{
    Pre:  tile programs and `linalg` on tensors.
    Post: every `linalg` operation and every slice that moves elements, outside
          of `scf.forall`, is an `scf.forall` over the elements of its result.

    ```mlir
    func.func @twice(%x: tensor<?xf32>, %y: tensor<?xf32>) -> tensor<?xf32> {
      %r = linalg.add ins(%x, %x : tensor<?xf32>, tensor<?xf32>)
        outs(%y : tensor<?xf32>) -> tensor<?xf32>
      return %r : tensor<?xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::scf::SCFDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def AttnGpuOutlinePass : Pass<"attn-gpu-outline", "::mlir::ModuleOp"> {
  let summary = "parallel loops become launches of kernels";
  let description = [{
    Post: each outermost `scf.forall` is an `attn_gpu.launch` of a private
          function on tensors that holds the loop.

    ```mlir
    func.func @count(%y: tensor<4xindex>) -> tensor<4xindex> {
      %r = scf.forall (%i) in (4) shared_outs(%o = %y) -> (tensor<4xindex>) {
        %e = tensor.extract_slice %o[%i] [1] [1] : tensor<4xindex> to tensor<1xindex>
        %f = linalg.fill ins(%i : index) outs(%e : tensor<1xindex>) -> tensor<1xindex>
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %f into %o[%i] [1] [1]
            : tensor<1xindex> into tensor<4xindex>
        }
      }
      return %r : tensor<4xindex>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::attn::device::AttnGPUDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"
  ];
}

def AttnGpuLowerKernelsPass
    : Pass<"attn-gpu-lower-kernels", "::mlir::ModuleOp"> {
  let summary = "kernels on tensors become code of one thread";
  let description = [{
    Pre:  `attn_gpu.launch` of functions on tensors.
    Post: the launches name a `gpu.func` in `@kernels` and say how many threads
          and how much shared memory a block has.

    A loop whose body works on single elements gives each point a thread. A
    tile program gives each point a block of threads. Tiles of rows that meet
    a product of matrices live in registers, in the layout of the tensor
    cores' results: warp `w` of `W` has the rows of the blocks of 16 number
    `w`, `w + W`, ...; thread `t` of a warp has of each the rows `t / 4` and
    `t / 4 + 8`, and of each 8 columns `2 (t % 4)` and the next.
  }];
  let options = [
    Option<"chip", "chip", "std::string", "\"sm_80\"", "sm_80 or sm_90a">,
    Option<"skipRescale", "skip-rescale", "bool", "true",
           "sm_90a: branch around the rescaling of sums in warps whose maxima "
           "stay">
  ];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::attn::device::AttnGPUDialect",
    "::mlir::attn::nv::AttnNVDialect",
    "::mlir::gpu::GPUDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::scf::SCFDialect",
    "::mlir::math::MathDialect", "::mlir::ub::UBDialect",
    "::mlir::vector::VectorDialect"
  ];
}

def AttnGpuFinalizePass : Pass<"attn-gpu-finalize", "::mlir::gpu::GPUModuleOp"> {
  let summary = "gpu.func becomes llvm.func, functions become instructions";
  let description = [{
    Post: kernels are `llvm.func` with a fixed number of threads, in which
    denormal f32 are zero. Exponentials and logarithms are those of base 2,
    which the hardware has; the other functions are made of them.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::math::MathDialect", "::mlir::NVVM::NVVMDialect"
  ];
}

def AttnGpuToLLVMPass : Pass<"attn-gpu-to-llvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "scalar code of kernels becomes LLVM";
  let description = [{
    Pre:  kernels are `llvm.func` of `arith`, `math`, `cf`, `ub` and LLVM.
    Post: only LLVM and NVVM are left.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

#endif // ATTN_TARGET_NVIDIA_PASSES_TD
