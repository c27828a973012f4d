// RUN: attn-opt %s --verify-roundtrip | FileCheck %s
// RUN: attn-opt %s --emit-bytecode | attn-opt | FileCheck %s
// RUN: attn-opt %s --mlir-print-op-generic | attn-opt | FileCheck %s

// CHECK-LABEL: func.func private @causal
//  CHECK-SAME:   {m = #attn.causal}
func.func private @causal() attributes {m = #attn.causal}

// CHECK-LABEL: func.func private @window
//  CHECK-SAME:   {m = #attn.window<left = 255, right = -1>}
func.func private @window() attributes {m = #attn.window<left = 255, right = -1>}

// CHECK-LABEL: func.func private @block_window
//  CHECK-SAME:   {m = #attn.window<left = 15, right = 0, block = 64>}
func.func private @block_window() attributes {m = #attn.window<left = 15, right = 0, block = 64>}

// CHECK-LABEL: func.func private @lists
//  CHECK-SAME:   {m = #attn.blocks<q_block = 64, kv_block = 32>, n = #attn.blocks<q_block = 128, kv_block = 1, layout = csr>}
func.func private @lists() attributes {
  m = #attn.blocks<q_block = 64, kv_block = 32, layout = padded>,
  n = #attn.blocks<q_block = 128, kv_block = 1, layout = csr>}

// CHECK-LABEL: func.func private @by_operands
//  CHECK-SAME:   {m = #attn.spans, n = #attn.elastic, o = #attn.elastic<block = 64>}
func.func private @by_operands() attributes {
  m = #attn.spans, n = #attn.elastic, o = #attn.elastic<block = 64>}

// CHECK-LABEL: func.func private @sink
//  CHECK-SAME:   {m = #attn.sink<4>}
func.func private @sink() attributes {m = #attn.sink<4>}

// Parameters have defaults and stand in any order.
// CHECK-LABEL: func.func private @strided
//  CHECK-SAME:   {m = #attn.strided<stride = 8>, n = #attn.strided<stride = 8, block = 64, phase = -3, anchor = origin>}
func.func private @strided() attributes {
  m = #attn.strided<stride = 8>,
  n = #attn.strided<anchor = origin, phase = -3, block = 64, stride = 8>}

// CHECK-LABEL: func.func private @documents
//  CHECK-SAME:   {m = #attn.documents}
func.func private @documents() attributes {m = #attn.documents}

// CHECK-LABEL: func.func private @all_of
//  CHECK-SAME:   {m = #attn.all_of<[]>, n = #attn.all_of<[#attn.causal, #attn.documents]>}
func.func private @all_of() attributes {
  m = #attn.all_of<[]>, n = #attn.all_of<[#attn.causal, #attn.documents]>}

// CHECK-LABEL: func.func private @any_of
//  CHECK-SAME:   {m = #attn.any_of<[]>, n = #attn.any_of<[#attn.sink<4>, #attn.any_of<[#attn.causal]>]>}
func.func private @any_of() attributes {
  m = #attn.any_of<[]>,
  n = #attn.any_of<[#attn.sink<4>, #attn.any_of<[#attn.causal]>]>}

// CHECK-LABEL: func.func private @not
//  CHECK-SAME:   {m = #attn.not<#attn.sink<4>>}
func.func private @not() attributes {m = #attn.not<#attn.sink<4>>}

// CHECK-LABEL: func.func private @per_head
//  CHECK-SAME:   {m = #attn.per_head<[#attn.causal, #attn.sink<4>], [0, 0, 1, 1]>}
func.func private @per_head() attributes {
  m = #attn.per_head<[#attn.causal, #attn.sink<4>], [0, 0, 1, 1]>}
