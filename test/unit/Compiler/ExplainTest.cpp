//===- ExplainTest.cpp - What the report says of attentions ---------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Compiler/Explain/Explain.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::attn;

namespace {

/// The report on `text`; `lower` emits a remark on each attention.
std::string explain(const char *text, const char *refused = nullptr,
                    ReportForm form = ReportForm::Text) {
  MLIRContext context;
  context.loadDialect<AttnDialect, arith::ArithDialect, func::FuncDialect,
                      linalg::LinalgDialect, math::MathDialect, scf::SCFDialect,
                      tensor::TensorDialect>();
  auto module = parseSourceString<ModuleOp>(text, &context);
  if (!module)
    return "cannot be parsed";
  auto raise = [](ModuleOp module) {
    module.walk([](linalg::SoftmaxOp op) {
      remark::missed(op.getLoc(),
                     remark::RemarkOpts::name("kept").category("attn-raise"))
          << remark::reason("no product follows")
          << remark::suggest("multiply it with values");
    });
    return success();
  };
  auto lower = [&](ModuleOp module) {
    module.walk([&](AttentionOp op) {
      if (!refused) {
        OpBuilder builder(op);
        auto one = SmallVector<OpFoldResult>{builder.getIndexAttr(1)};
        scf::ForallOp::create(builder, op.getLoc(), one, ValueRange(),
                              std::nullopt);
        return;
      }
      remark::missed(op.getLoc(),
                     remark::RemarkOpts::name("not-tiled").category("tiles"))
          << remark::reason("{0}", refused) << remark::suggest("use f32");
    });
    return success();
  };
  FailureOr<std::string> report = explainModule(*module, raise, lower, form);
  return succeeded(report) ? *report : "failed";
}

TEST(Explain, OneRowForEachAttention) {
  std::string report = explain(R"mlir(
func.func @main(%q: tensor<1x8x128x64xf32>, %k: tensor<1x2x128x64xf32>,
                %v: tensor<1x2x128x32xf32>, %x: tensor<?x4x?x16xf16>,
                %n: tensor<?xi64>, %b: tensor<1x4x1x1xf16>) {
  %0 = attn.attention %q, %k, %v mask(#attn.causal)
    : tensor<1x8x128x64xf32>, tensor<1x2x128x64xf32>, tensor<1x2x128x32xf32>
    -> tensor<1x8x128x32xf32> loc("layer0/attention")
  %1 = attn.attention %x, %x, %x bias(%b : tensor<1x4x1x1xf16>)
      kv_lengths(%n : tensor<?xi64>) {attn.origin = "softmax at 'Softmax_7'; mask: padding"}
    : tensor<?x4x?x16xf16>, tensor<?x4x?x16xf16>, tensor<?x4x?x16xf16>
    -> tensor<?x4x?x16xf16>
  return
})mlir");
  EXPECT_EQ(report,
            "#  origin            heads  batch x queries x keys x width  type  "
            "mask                          density  path\n"
            "0  layer0/attention  8/2    1 x 128 x 128 x 64/32           f32   "
            "causal                        50.4 %   tiles\n"
            "1  Softmax_7         4      ? x ? x ? x 16                  f16   "
            "key lengths + bias [1,4,1,1]  by data  tiles\n"
            "     mask: padding\n"
            "     saves work by data: key lengths\n"
            "\n"
            "2 attentions recognised, 0 softmaxes left\n");
}

TEST(Explain, DensityOfOpenLengths) {
  std::string report = explain(R"mlir(
func.func @main(%x: tensor<?x4x?x16xf32>, %keep: tensor<1x1x1x?xi1>) {
  %0 = attn.attention %x, %x, %x mask(#attn.causal)
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>
    -> tensor<?x4x?x16xf32>
  %1 = attn.attention %x, %x, %x mask(#attn.causal)
      keep(%keep : tensor<1x1x1x?xi1>)
    : tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x4x?x16xf32>
    -> tensor<?x4x?x16xf32>
  return
})mlir");
  EXPECT_NE(report.find("causal                   50.1 % at 1024 "),
            std::string::npos)
      << report;
  EXPECT_NE(report.find("at most 50.1 % at 1024"), std::string::npos) << report;
}

TEST(Explain, BoundsFromOperandsOfTheMask) {
  const char *text = R"mlir(
func.func @main(%x: tensor<1x4x1024x16xf32>, %l: tensor<1x1x16x2xi32>,
                %c: tensor<1x1x16xi32>, %open: tensor<1x1x16x?xi32>) {
  %0 = attn.attention %x, %x, %x mask(#attn.blocks<q_block = 64, kv_block = 64>,
      %l, %c : tensor<1x1x16x2xi32>, tensor<1x1x16xi32>)
    : tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1024x16xf32>
  %1 = attn.attention %x, %x, %x mask(#attn.blocks<q_block = 64, kv_block = 64>,
      %open, %c : tensor<1x1x16x?xi32>, tensor<1x1x16xi32>)
    : tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1024x16xf32>
  return
})mlir";
  std::string report = explain(text);
  EXPECT_NE(report.find("at most 12.5 %  tiles\n     saves at least 87.5 % of "
                        "the scores: keys that the mask's operands leave out"),
            std::string::npos)
      << report;
  EXPECT_NE(report.find("by data         tiles\n     saves work by data: keys"),
            std::string::npos)
      << report;
  std::string json = explain(text, nullptr, ReportForm::Json);
  EXPECT_NE(json.find("\"saved\": 0.875"), std::string::npos) << json;
  EXPECT_NE(json.find("\"saved\": null"), std::string::npos) << json;
}

TEST(Explain, SelectionsAndWhatTheyCost) {
  std::string report = explain(R"mlir(
func.func @main(%q: tensor<1x4x1024x16xf32>, %x: tensor<1x1024x64xf32>,
                %w: tensor<3x64xf32>, %s: tensor<1x4x16x16xf32>) {
  %g = attn.route_heads linear %x routed(%w : tensor<3x64xf32>) {top_k = 1}
    : tensor<1x1024x64xf32> -> tensor<1x1024x4xf32>
  %r, %n, %p = attn.list_rows %g : tensor<1x1024x4xf32>
    -> tensor<1x4x1024xi32>, tensor<1x4xi32>, tensor<1x4x1024xf32>
  %o = attn.attention %q, %q, %q
    routing(%r, %n : tensor<1x4x1024xi32>, tensor<1x4xi32>)
    : tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>, tensor<1x4x1024x16xf32>
    -> tensor<1x4x1024x16xf32>
  %l, %c = attn.top_k %s
    : tensor<1x4x16x16xf32> -> tensor<1x4x16x8xi32>, tensor<1x4x16xi32>
  return
})mlir");
  EXPECT_NE(report.find("at most 50.0 %  tiles\n     saves at least 50.0 % of "
                        "the scores: each row in 2 of 4 heads"),
            std::string::npos)
      << report;
  EXPECT_NE(report.find("2 of 4 heads for a row"), std::string::npos) << report;
  // 1024 x 64 x 3 of 4 x 1024 x 1024 x 32 operations.
  EXPECT_NE(report.find("0.15 % of dense attention"), std::string::npos)
      << report;
  EXPECT_NE(report.find("8 of 16, count"), std::string::npos) << report;
}

TEST(Explain, SaysWhyNotBetter) {
  std::string report = explain(R"mlir(
func.func @main(%x: tensor<1x4x8x16xf16>) {
  %0 = attn.attention %x, %x, %x
    : tensor<1x4x8x16xf16>, tensor<1x4x8x16xf16>, tensor<1x4x8x16xf16>
    -> tensor<1x4x8x16xf16> loc("a")
  return
})mlir",
                               "the type is f16");
  EXPECT_NE(report.find("plain linalg\n     not better because the type is "
                        "f16; use f32\n"),
            std::string::npos)
      << report;
  EXPECT_NE(report.find("1 attention recognised, 0 softmaxes left"),
            std::string::npos);
}

TEST(Explain, CountsSoftmaxesThatStay) {
  std::string report = explain(R"mlir(
#map = affine_map<(i, j) -> (i, j)>
#row = affine_map<(i, j) -> (i)>
func.func @main(%x: tensor<4x8xf32>, %e: tensor<4x8xf32>, %s: tensor<4xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %0 = linalg.softmax dimension(1) ins(%x : tensor<4x8xf32>)
    outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32> loc("softmax1")
  %1 = linalg.exp ins(%x : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>)
    -> tensor<4x8xf32> loc("exp2")
  %2 = linalg.generic {indexing_maps = [#map, #row],
      iterator_types = ["parallel", "reduction"]}
      ins(%1 : tensor<4x8xf32>) outs(%s : tensor<4xf32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %a, %b : f32
    linalg.yield %c : f32
  } -> tensor<4xf32>
  %3 = linalg.generic {indexing_maps = [#map, #row, #map],
      iterator_types = ["parallel", "parallel"]}
      ins(%1, %2 : tensor<4x8xf32>, tensor<4xf32>) outs(%e : tensor<4x8xf32>) {
  ^bb0(%a: f32, %b: f32, %d: f32):
    %c = arith.divf %a, %b : f32
    linalg.yield %c : f32
  } -> tensor<4x8xf32>
  // An exponential alone is no softmax.
  %4 = linalg.exp ins(%3 : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>)
    -> tensor<4x8xf32>
  return %0, %3, %4 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
})mlir");
  EXPECT_EQ(report, "softmax 'softmax1' stays: no product follows; multiply it "
                    "with values\n"
                    "softmax 'exp2' stays\n"
                    "0 attentions recognised, 2 softmaxes left\n");
}

} // namespace
