// RUN: attn-opt %s --attn-emulate --split-input-file --verify-diagnostics

llvm.func @assembly() attributes {nvvm.kernel} {
  // expected-error @+1 {{cannot be emulated: each target instruction must be an operation}}
  llvm.inline_asm has_side_effects "bar.sync 0;", "" : () -> ()
  llvm.return
}

// -----

llvm.func @unknown(%x: f32) attributes {nvvm.kernel} {
  // expected-error @+1 {{is unknown to the emulator: llvm.nvvm.sin.approx.f}}
  %y = llvm.call_intrinsic "llvm.nvvm.sin.approx.f"(%x) : (f32) -> f32
  llvm.return
}

// -----

llvm.func @cluster() attributes {nvvm.kernel} {
  // expected-error @+1 {{is unknown to the emulator}}
  nvvm.cluster.arrive
  llvm.return
}

// -----

// expected-error @+1 {{cannot be emulated: it has no body}}
llvm.func @__nv_sinf(f32) -> f32

llvm.func @library(%x: f32) attributes {nvvm.kernel} {
  %y = llvm.call @__nv_sinf(%x) : (f32) -> f32
  llvm.return
}

// -----

llvm.func @twice()

gpu.module @kernels {
  // expected-error @+1 {{cannot be emulated: the host has a symbol "twice", too}}
  llvm.func @twice() attributes {nvvm.kernel} {
    llvm.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{cannot be emulated: a final gpu module holds functions and variables of the LLVM dialect}}
  gpu.func @early() kernel {
    gpu.return
  }
}

// -----

llvm.func @masked(%p: !llvm.ptr<1>, %m: vector<4xi1>, %v: vector<4xf32>) attributes {nvvm.kernel} {
  // expected-error @+1 {{is unknown to the emulator}}
  llvm.intr.masked.store %v, %p, %m {alignment = 4 : i32} : vector<4xf32>, vector<4xi1> into !llvm.ptr<1>
  llvm.return
}
