// RUN: attn-opt %s --split-input-file --verify-diagnostics

llvm.func @columns(%q: i64) {
  // expected-error @+1 {{expects a result of N / 2 elements for a multiple N of 8 up to 256, but it has 6}}
  %s = attn_nv.wgmma bf16 %q, %q : i64 -> vector<6xf32>
  llvm.return
}

// -----

llvm.func @too_many_columns(%q: i64) {
  // expected-error @+1 {{expects a result of N / 2 elements for a multiple N of 8 up to 256, but it has 132}}
  %s = attn_nv.wgmma bf16 %q, %q : i64 -> vector<132xf32>
  llvm.return
}

// -----

llvm.func @transposed_registers(%q: i64, %a: vector<4xi32>) {
  // expected-error @+1 {{expects no 'trans_a' with A in registers}}
  %s = attn_nv.wgmma bf16 %a, %q {trans_a} : vector<4xi32> -> vector<64xf32>
  llvm.return
}

// -----

llvm.func @transposed_tf32(%q: i64) {
  // expected-error @+1 {{expects tf32 operands with K contiguous, but one is transposed}}
  %s = attn_nv.wgmma tf32 %q, %q {trans_b} : i64 -> vector<64xf32>
  llvm.return
}

// -----

llvm.func @passed_on(%q: vector<64xf32>) {
  // expected-error @+1 {{expects one result of the same type for each value}}
  %s = "attn_nv.wgmma_wait"(%q) {pending = 0 : i32} : (vector<64xf32>) -> vector<32xf32>
  llvm.return
}

// -----

llvm.func @pending(%q: vector<64xf32>) {
  // expected-error @+1 {{attribute 'pending' failed to satisfy constraint}}
  %s = attn_nv.wgmma_wait 8 (%q : vector<64xf32>)
  llvm.return
}
