//===- MaskOperandsTest.cpp - Masks that read tensors ---------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "gtest/gtest.h"
#include <bitset>
#include <random>

using namespace mlir;
using namespace mlir::attn;

namespace {

constexpr int64_t kRows = 10, kKeys = 20, kHeads = 4;
using Keys = std::bitset<kKeys>;

/// Computes what masks build, from tensors of integers.
class Evaluator {
public:
  void setTensor(Value tensor, std::vector<int64_t> numbers) {
    tensors[tensor] = std::move(numbers);
  }

  int64_t number(OpFoldResult x) {
    if (auto constant = constantOf(x))
      return *constant;
    return number(cast<Value>(x));
  }

private:
  int64_t number(Value x) {
    if (auto known = values.find(x); known != values.end())
      return known->second;
    Operation *op = x.getDefiningOp();
    if (auto loop = dyn_cast_or_null<scf::ForOp>(op))
      return run(loop, cast<OpResult>(x).getResultNumber());
    if (auto extract = dyn_cast_or_null<tensor::ExtractOp>(op))
      return element(extract);
    SmallVector<Attribute> operands;
    for (Value operand : op->getOperands())
      operands.push_back(attribute(operand.getType(), number(operand)));
    SmallVector<OpFoldResult> results;
    EXPECT_TRUE(succeeded(op->fold(operands, results)) && results.size() == 1);
    return number(results.front());
  }

  Attribute attribute(Type type, int64_t x) {
    if (type.isInteger(1))
      return BoolAttr::get(type.getContext(), x != 0);
    return IntegerAttr::get(type, x);
  }

  int64_t element(tensor::ExtractOp extract) {
    auto type = cast<RankedTensorType>(extract.getTensor().getType());
    int64_t offset = 0;
    for (auto [index, size] :
         llvm::zip_equal(extract.getIndices(), type.getShape())) {
      int64_t at = number(index);
      EXPECT_TRUE(at >= 0 && at < size) << "a read out of bounds";
      offset = offset * size + std::clamp<int64_t>(at, 0, size - 1);
    }
    return tensors.at(extract.getTensor())[offset];
  }

  int64_t run(scf::ForOp loop, unsigned result) {
    int64_t end = number(loop.getUpperBound());
    SmallVector<int64_t> carried;
    for (Value init : loop.getInitArgs())
      carried.push_back(number(init));
    for (int64_t i = number(loop.getLowerBound()); i < end; ++i) {
      auto before = values;
      values[loop.getInductionVar()] = i;
      for (auto [argument, x] :
           llvm::zip_equal(loop.getRegionIterArgs(), carried))
        values[argument] = x;
      SmallVector<int64_t> next;
      for (Value x : loop.getBody()->getTerminator()->getOperands())
        next.push_back(number(x));
      carried = next;
      values = before;
    }
    return carried[result];
  }

  std::map<Value, std::vector<int64_t>, bool (*)(Value, Value)> tensors{
      [](Value a, Value b) {
        return a.getAsOpaquePointer() < b.getAsOpaquePointer();
      }};
  llvm::DenseMap<Value, int64_t> values;
};

class MaskOperandsTest : public ::testing::Test {
protected:
  MaskOperandsTest() {
    context.loadDialect<AttnDialect, arith::ArithDialect, scf::SCFDialect,
                        tensor::TensorDialect>();
  }

  int64_t pick(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(random);
  }

  /// Random operands for every leaf of `mask`, in order.
  void addOperands(MaskAttrInterface mask) {
    ArrayRef<MaskAttrInterface> members;
    MaskAttrInterface only;
    if (auto all = dyn_cast<AllOfAttr>(mask))
      members = all.getMasks();
    else if (auto any = dyn_cast<AnyOfAttr>(mask))
      members = any.getMasks();
    else if (auto perHead = dyn_cast<PerHeadAttr>(mask))
      members = perHead.getMasks();
    else if (auto inner = dyn_cast<NotAttr>(mask)) {
      only = inner.getMask();
      members = only;
    }
    for (MaskAttrInterface member : members)
      addOperands(member);
    if (!members.empty())
      return;
    int64_t heads = int64_t(1) << pick(0, 2);
    if (auto blocks = dyn_cast<BlocksAttr>(mask))
      add({1, heads, llvm::divideCeilSigned(kRows, blocks.getQBlock()),
           llvm::divideCeilSigned(kKeys, blocks.getKvBlock())},
          1, [&] { return pick(0, 9) < 4; });
    else if (isa<SpansAttr>(mask))
      for (int i = 0; i < 2; ++i)
        add({1, heads, kRows}, 64, [&] { return pick(-3, kKeys + 3); });
    else if (isa<ElasticAttr>(mask))
      for (int i = 0; i < 2; ++i)
        add({1, heads}, 32, [&] { return pick(-1, 5); });
    else if (isa<DocumentsAttr>(mask))
      for (int64_t length : {kRows, kKeys})
        add({1, length}, 64, [&] { return pick(0, 2); });
  }

  void add(ArrayRef<int64_t> shape, unsigned width,
           llvm::function_ref<int64_t()> make) {
    auto type = RankedTensorType::get(shape, IntegerType::get(&context, width));
    Value tensor = block.addArgument(type, UnknownLoc::get(&context));
    std::vector<int64_t> numbers(type.getNumElements());
    for (int64_t &x : numbers)
      x = make();
    evaluator.setTensor(tensor, numbers);
    operands.push_back(tensor);
  }

  MaskPoint pointOf(int64_t head, int64_t row, int64_t key) {
    IndexMath math(builder, loc);
    MaskPoint point;
    point.batch = math.constant(0);
    point.head = math.constant(head);
    point.heads = math.constant(kHeads);
    point.kvLen = math.constant(kKeys);
    point.entry = point.queryRow = math.constant(row);
    point.query = math.constant(row + offset);
    point.key = math.constant(key);
    point.operands = operands;
    return point;
  }

  Keys cover(const KeyIntervals &intervals) {
    Keys keys;
    for (const KeyInterval &x : intervals) {
      int64_t begin = std::max<int64_t>(evaluator.number(x.begin), 0);
      int64_t end = std::min(evaluator.number(x.end), kKeys);
      for (int64_t k = begin; k < end; ++k)
        keys.set(k);
    }
    return keys;
  }

  /// The pairs that a list counts, row by row; checks what it promises.
  void addListed(const KeyList &list, const MaskTile &tile, int64_t head,
                 int64_t first, int64_t end, std::vector<Keys> &rows) {
    IndexMath math(builder, loc);
    KeyInterval keys = intersect(builder, loc, list.clip,
                                 {math.constant(0), math.constant(kKeys)});
    if (evaluator.number(keys.begin) >= evaluator.number(keys.end))
      return;
    KeyInterval range = list.candidates(builder, loc, keys);
    int64_t before = std::numeric_limits<int64_t>::min();
    for (int64_t i = evaluator.number(range.begin);
         i < evaluator.number(range.end); ++i) {
      OpFoldResult candidate = math.constant(i);
      KeyInterval entry = list.entry(builder, loc, candidate);
      int64_t begin = evaluator.number(entry.begin);
      int64_t last = evaluator.number(entry.end);
      ASSERT_GE(begin, before);
      ASSERT_EQ(begin % list.granule, 0);
      ASSERT_EQ((last - begin) % list.granule, 0);
      before = last;
      if (!evaluator.number(list.present(builder, loc, candidate)))
        continue;
      bool full = evaluator.number(list.full(builder, loc, candidate));
      for (int64_t q = first; q < end; ++q)
        for (int64_t k = std::max<int64_t>(begin, 0); k < std::min(last, kKeys);
             ++k) {
          MaskPoint point = pointOf(head, q, k);
          bool counts =
              evaluator.number(list.keep(builder, loc, point, candidate));
          ASSERT_EQ(counts, evaluator.number(list.keep(builder, loc, point,
                                                       std::nullopt)) != 0);
          ASSERT_TRUE(!full || counts) << "row " << q << ", key " << k;
          if (counts)
            rows[q].set(k);
        }
    }
  }

  void check(MaskAttrInterface mask) {
    std::string text;
    llvm::raw_string_ostream(text) << Attribute(mask);
    SCOPED_TRACE(text);
    block.clear();
    operands.clear();
    evaluator = Evaluator();
    addOperands(mask);
    ASSERT_EQ(operands.size(), mask.getNumMaskOperands());
    builder.setInsertionPointToEnd(&block);
    offset = pick(-2, kKeys - kRows);
    for (int64_t head = 0; head < kHeads; ++head) {
      std::vector<Keys> kept(kRows);
      for (int64_t q = 0; q < kRows; ++q)
        for (int64_t k = 0; k < kKeys; ++k)
          kept[q][k] =
              evaluator.number(mask.keep(builder, loc, pointOf(head, q, k)));
      for (auto [first, end] : {std::pair<int64_t, int64_t>(0, kRows),
                                {0, 1},
                                {4, 8},
                                {3, 7},
                                {6, 8},
                                {9, 10}}) {
        IndexMath math(builder, loc);
        MaskTile tile;
        tile.batch = math.constant(0);
        tile.head = math.constant(head);
        tile.heads = math.constant(kHeads);
        tile.entryBegin = math.constant(first);
        tile.entryEnd = math.constant(end);
        // Some tiles are told to be whole.
        if (first % (end - first) == 0)
          tile.alignedRows = end - first;
        tile.queryBegin = math.constant(first + offset);
        tile.queryEnd = math.constant(end + offset);
        tile.kvLen = math.constant(kKeys);
        tile.operands = operands;
        Keys visit = cover(mask.visitIntervals(builder, loc, tile));
        Keys full = cover(mask.fullIntervals(builder, loc, tile));
        std::vector<Keys> listed(kRows);
        for (const KeyList &list : mask.visitLists(builder, loc, tile))
          addListed(list, tile, head, first, end, listed);
        for (int64_t q = first; q < end; ++q) {
          ASSERT_TRUE((kept[q] & ~visit & ~listed[q]).none())
              << "head " << head << ", row " << q << ": " << kept[q]
              << " is kept, but only " << visit << " and " << listed[q]
              << " are visited";
          ASSERT_TRUE((listed[q] & ~kept[q]).none())
              << "head " << head << ", row " << q;
          ASSERT_TRUE((full & ~kept[q]).none())
              << "head " << head << ", row " << q << ": not all of " << full;
        }
      }
      block.clear();
    }
  }

  MaskAttrInterface parse(StringRef text) {
    return cast<MaskAttrInterface>(parseAttribute(text, &context));
  }

  MLIRContext context;
  OpBuilder builder{&context};
  Location loc = UnknownLoc::get(&context);
  Block block;
  SmallVector<Value> operands;
  Evaluator evaluator;
  int64_t offset = 0;
  std::mt19937 random{4};
};

const char *const kLeaves[] = {
    "#attn.blocks<q_block = 2, kv_block = 3, layout = members>",
    "#attn.blocks<q_block = 4, kv_block = 1, layout = members>",
    "#attn.blocks<q_block = 16, kv_block = 4, layout = members>",
    "#attn.spans",
    "#attn.elastic<block = 1>",
    "#attn.elastic<block = 3>",
    "#attn.documents",
    "#attn.causal",
    "#attn.sink<3>",
    "#attn.window<left = 4, right = 0>",
    "#attn.window<left = 1, right = 0, block = 3>",
    "#attn.strided<stride = 3, block = 2>",
    "#attn.strided<stride = 3, block = 2, phase = 1, anchor = origin>",
};

TEST_F(MaskOperandsTest, EveryKindAgrees) {
  for (const char *text : kLeaves)
    for (int i = 0; i < 3 && !HasFailure(); ++i)
      check(parse(text));
}

TEST_F(MaskOperandsTest, UsualCompositionsAgree) {
  const char *const texts[] = {
      "#attn.all_of<[#attn.causal, #attn.any_of<[#attn.blocks<q_block = 2, "
      "kv_block = 2, layout = members>, #attn.sink<3>, #attn.window<left = 2, "
      "right = 0>]>]>",
      "#attn.any_of<[#attn.all_of<[#attn.blocks<q_block = 2, kv_block = 2, "
      "layout = members>, #attn.window<left = 5, right = 0>]>, "
      "#attn.all_of<[#attn.blocks<q_block = 5, kv_block = 4, layout = "
      "members>, #attn.spans]>]>",
  };
  for (const char *text : texts)
    for (int i = 0; i < 3 && !HasFailure(); ++i)
      check(parse(text));
}

TEST_F(MaskOperandsTest, RandomCompositionsAgree) {
  std::function<MaskAttrInterface(int)> make =
      [&](int depth) -> MaskAttrInterface {
    int64_t kind = depth == 0 ? 0 : pick(0, 5);
    SmallVector<MaskAttrInterface> members;
    for (int64_t i = kind == 0 ? 0 : pick(1, 3); i > 0; --i)
      members.push_back(make(depth - 1));
    if (kind == 1)
      return NotAttr::get(&context, members.front());
    if (kind == 2)
      return AllOfAttr::get(&context, members);
    if (kind == 3 || kind == 4)
      return AnyOfAttr::get(&context, members);
    if (kind == 5) {
      SmallVector<int64_t> indices;
      for (int64_t head = 0; head < kHeads; ++head)
        indices.push_back(pick(0, members.size() - 1));
      return PerHeadAttr::get(&context, members, indices);
    }
    return parse(kLeaves[pick(0, std::size(kLeaves) - 1)]);
  };
  for (int i = 0; i < 40 && !HasFailure(); ++i)
    check(make(3));
}

} // namespace
