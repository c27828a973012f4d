// The report tells how lists of keys are visited, what that is expected to
// cost, how to force another way, and how much work is saved at least.
//
// RUN: attn explain %s --entry blocks | FileCheck %s --check-prefix=BLOCKS
// RUN: attn explain %s --entry tokens | FileCheck %s --check-prefix=TOKENS
// RUN: attn explain %s --entry tokens --sparse always | FileCheck %s --check-prefix=ALWAYS
// RUN: attn explain %s --entry tokens --sparse never | FileCheck %s --check-prefix=NEVER
// RUN: attn explain %s --entry few | FileCheck %s --check-prefix=FEW
// RUN: attn explain %s --entry spans | FileCheck %s --check-prefix=SPANS
// RUN: attn explain %s --entry blocks --json | FileCheck %s --check-prefix=JSON
// RUN: not attn explain %s --entry blocks --sparse maybe 2>&1 | FileCheck %s --check-prefix=WRONG

// BLOCKS:      at most 12.5 %  tiles
// BLOCKS-NEXT: saves at least 87.5 % of the scores: keys that the mask's operands leave out
// BLOCKS-NEXT: lists of 64 keys: followed; cost at most 0.13, with tests 1.12, of all keys untested; --sparse always or never forces it
// JSON: "attentions": [
// JSON: "notes": [
// JSON:   "lists of 64 keys
// JSON: "saved": 0.875
// WRONG: error: unknown sparse path 'maybe'; known are auto, always and never
func.func @blocks(%x: tensor<1x4x1024x16xf32>, %l: tensor<1x4x16x2xi32>,
                  %c: tensor<1x4x16xi32>) -> tensor<1x4x1024x16xf32> {
  %o = attn.attention %x, %x, %x mask(#attn.blocks<q_block = 64, kv_block = 64>,
      %l, %c : tensor<1x4x16x2xi32>, tensor<1x4x16xi32>)
    : tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1024x16xf32>
  return %o : tensor<1x4x1024x16xf32>
}

// Lists may be so long that tests are cheaper: that is chosen at run time.
// TOKENS: by data
// TOKENS: lists of single keys: gathered up to {{[0-9]+}} % of the keys around, then all of these are tested; cost
// ALWAYS: lists of single keys: gathered; cost
// NEVER: lists of single keys: not followed, all keys around are tested; cost
func.func @tokens(%x: tensor<1x4x1024x16xf32>, %l: tensor<1x4x16x?xi32>,
                  %c: tensor<1x4x16xi32>) -> tensor<1x4x1024x16xf32> {
  %o = attn.attention %x, %x, %x mask(#attn.blocks<q_block = 64, kv_block = 1>,
      %l, %c : tensor<1x4x16x?xi32>, tensor<1x4x16xi32>)
    : tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1024x16xf32>
  return %o : tensor<1x4x1024x16xf32>
}

// Short lists need no choice.
// FEW: at most 9.8 %
// FEW: few rows, lists of single keys: gathered; cost at most 0.20, with tests 1.03
func.func @few(%q: tensor<1x4x1x16xf32>, %x: tensor<1x4x1024x16xf32>,
               %l: tensor<1x4x1x100xi32>, %c: tensor<1x4x1xi32>)
    -> tensor<1x4x1x16xf32> {
  %o = attn.attention %q, %x, %x mask(#attn.blocks<q_block = 1, kv_block = 1>,
      %l, %c : tensor<1x4x1x100xi32>, tensor<1x4x1xi32>)
    : tensor<1x4x1x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1x16xf32>
  return %o : tensor<1x4x1x16xf32>
}

// SPANS: window 15 + 3 spans{{ +}}at most {{[0-9.]+}} %{{ +}}tiles
// SPANS: saves at least {{[0-9.]+}} % of the scores: a window of 15 keys and 3 spans for a row
// SPANS: span_search{{ +}}{{.*}}3 of 60 keys for a row{{ +}}{{[0-9.]+}} % of dense attention
// SPANS: span_bounds
func.func @spans(%q: tensor<1x2x4096x16xf32>, %k: tensor<1x2x4096x16xf32>,
                 %table: tensor<60xi32>) -> tensor<1x2x4096x16xf32> {
  %a, %l = attn.span_search %q, %k, %table
    : tensor<1x2x4096x16xf32>, tensor<1x2x4096x16xf32>, tensor<60xi32>
    -> tensor<1x2x4096x3xi32>, tensor<1x2x4096x3xf32>
  %b, %e = attn.span_bounds %a {backward = 3.0, forward = 1.0, power = 0.5}
    : tensor<1x2x4096x3xi32>
  %o = attn.span_attention %q, %k, %k spans(%b, %e, %l
    : tensor<1x2x4096x3xi32>, tensor<1x2x4096x3xf32>) {window = 15}
    : tensor<1x2x4096x16xf32>, tensor<1x2x4096x16xf32>, tensor<1x2x4096x16xf32>
    -> tensor<1x2x4096x16xf32>
  return %o : tensor<1x2x4096x16xf32>
}
