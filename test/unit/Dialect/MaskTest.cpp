//===- MaskTest.cpp - All answers of a mask agree -------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/Utils/IndexMath.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"
#include <bitset>
#include <random>

using namespace mlir;
using namespace mlir::attn;

namespace {

constexpr int64_t kGrid = 24;
constexpr int64_t kHeads = 4;

/// Samples of every kind. A kind of which there is none fails the tests.
const char *const kSamples[] = {
    "#attn.causal",
    "#attn.window<left = 0, right = 0>",
    "#attn.window<left = 3, right = 0>",
    "#attn.window<left = 2, right = 5>",
    "#attn.window<left = -1, right = 2>",
    "#attn.window<left = 4, right = -1>",
    "#attn.window<left = -1, right = -1>",
    "#attn.window<left = 1099511627776, right = 1099511627776>",
    "#attn.sink<0>",
    "#attn.sink<1>",
    "#attn.sink<7>",
    "#attn.sink<1099511627776>",
    "#attn.strided<stride = 1>",
    "#attn.strided<stride = 3>",
    "#attn.strided<stride = 4, phase = -7>",
    "#attn.strided<stride = 2, block = 3, phase = 1>",
    "#attn.strided<stride = 3, block = 2, phase = 2, anchor = origin>",
    "#attn.documents",
    "#attn.blocks<q_block = 2, kv_block = 3>",
    "#attn.spans",
    "#attn.elastic<block = 2>",
    "#attn.window<left = 1, right = 0, block = 3>",
    "#attn.window<left = -1, right = 1, block = 5>",
    "#attn.window<left = 0, right = -1, block = 4>",
    "#attn.all_of<[#attn.causal, #attn.strided<stride = 2, block = 4>]>",
    "#attn.any_of<[#attn.sink<2>, #attn.strided<stride = 5, block = 2, phase = "
    "1, anchor = origin>]>",
    "#attn.all_of<[]>",
    "#attn.all_of<[#attn.causal, #attn.window<left = 3, right = 1>]>",
    "#attn.any_of<[]>",
    "#attn.any_of<[#attn.sink<2>, #attn.window<left = 3, right = 0>]>",
    "#attn.not<#attn.causal>",
    "#attn.not<#attn.window<left = 2, right = 1>>",
    "#attn.not<#attn.any_of<[#attn.sink<2>, #attn.window<left = 1, right = "
    "1>]>>",
    "#attn.per_head<[#attn.causal, #attn.sink<4>], [0, 1, 1, 0]>",
    "#attn.per_head<[#attn.causal, #attn.all_of<[]>, #attn.any_of<[]>], "
    "[2, 2, 1, 0]>",
};

/// Kinds whose class of a tile is exact: never `Partial` for an empty or full
/// tile.
const char *const kExact[] = {
    "#attn.causal",
    "#attn.window<left = 3, right = 0>",
    "#attn.window<left = 2, right = 5>",
    "#attn.window<left = -1, right = 2>",
    "#attn.window<left = 4, right = -1>",
    "#attn.sink<0>",
    "#attn.sink<7>",
    "#attn.all_of<[]>",
    "#attn.any_of<[]>",
    "#attn.not<#attn.causal>",
    "#attn.not<#attn.sink<7>>",
    "#attn.per_head<[#attn.causal, #attn.sink<4>], [0, 1, 1, 0]>",
};

/// For each query position from `begin` on the keys that it keeps.
struct Grid {
  int64_t begin;
  std::bitset<kGrid> rows[kGrid];

  std::bitset<kGrid> anyKept(int64_t queryBegin, int64_t queryEnd) const {
    std::bitset<kGrid> kept;
    for (int64_t q = queryBegin; q < queryEnd; ++q)
      kept |= rows[q - begin];
    return kept;
  }
  std::bitset<kGrid> allKept(int64_t queryBegin, int64_t queryEnd) const {
    std::bitset<kGrid> kept = std::bitset<kGrid>().set();
    for (int64_t q = queryBegin; q < queryEnd; ++q)
      kept &= rows[q - begin];
    return kept;
  }
};

std::bitset<kGrid> keysBetween(int64_t begin, int64_t end) {
  std::bitset<kGrid> keys;
  for (int64_t k = std::max<int64_t>(begin, 0); k < std::min(end, kGrid); ++k)
    keys.set(k);
  return keys;
}

class MaskTest : public ::testing::Test {
protected:
  MaskTest() { context.loadDialect<AttnDialect>(); }

  MaskAttrInterface parse(StringRef text) {
    return dyn_cast_or_null<MaskAttrInterface>(parseAttribute(text, &context));
  }

  Grid evaluate(MaskAttrInterface mask, int64_t head, int64_t begin) {
    Grid grid{begin, {}};
    for (int64_t q = 0; q < kGrid; ++q)
      for (int64_t k = 0; k < kGrid; ++k)
        grid.rows[q][k] = *keepsPair(mask, head, begin + q, k);
    return grid;
  }

  std::bitset<kGrid> cover(const KeyIntervals &intervals, int64_t kvLen) {
    std::bitset<kGrid> keys;
    for (const KeyInterval &interval : intervals)
      keys |= keysBetween(*constantOf(interval.begin),
                          std::min(*constantOf(interval.end), kvLen));
    return keys;
  }

  int64_t number(OpFoldResult x) { return *constantOf(x); }

  KeyInterval candidates(const KeyList &list, int64_t kvLen) {
    OpBuilder builder(&context);
    Location loc = builder.getUnknownLoc();
    IndexMath math(builder, loc);
    KeyInterval keys = intersect(builder, loc, list.clip,
                                 {math.constant(0), math.constant(kvLen)});
    if (number(keys.begin) >= number(keys.end))
      return {math.constant(0), math.constant(0)};
    return list.candidates(builder, loc, keys);
  }

  /// The keys of the candidates that are present.
  std::bitset<kGrid> listed(const KeyList &list, int64_t kvLen) {
    OpBuilder builder(&context);
    Location loc = builder.getUnknownLoc();
    IndexMath math(builder, loc);
    std::bitset<kGrid> keys;
    KeyInterval range = candidates(list, kvLen);
    for (int64_t i = number(range.begin); i < number(range.end); ++i)
      if (number(list.present(builder, loc, math.constant(i))))
        keys |= cover({intersect(builder, loc, list.clip,
                                 list.entry(builder, loc, math.constant(i)))},
                      kvLen);
    return keys;
  }

  /// What a list promises: rising candidates on granules, full ones that are
  /// full, and one predicate whether the candidate is known or not.
  void checkList(const KeyList &list, const MaskTile &tile, const Grid &grid) {
    OpBuilder builder(&context);
    Location loc = builder.getUnknownLoc();
    IndexMath math(builder, loc);
    int64_t q0 = number(tile.queryBegin), q1 = number(tile.queryEnd);
    int64_t kvLen = number(tile.kvLen);
    KeyInterval range = candidates(list, kvLen);
    int64_t before = std::numeric_limits<int64_t>::min();
    std::bitset<kGrid> counted;
    for (int64_t i = number(range.begin); i < number(range.end); ++i) {
      KeyInterval entry = list.entry(builder, loc, math.constant(i));
      int64_t begin = number(entry.begin), end = number(entry.end);
      ASSERT_GE(begin, before);
      before = end;
      ASSERT_EQ(begin % list.granule, 0);
      ASSERT_EQ(end % list.granule, 0);
      if (list.single) {
        ASSERT_EQ(end - begin, list.granule);
      }
      if (!number(list.present(builder, loc, math.constant(i))))
        continue;
      bool full = number(list.full(builder, loc, math.constant(i)));
      for (int64_t q = q0; q < q1; ++q)
        for (int64_t k = std::max<int64_t>(begin, 0); k < std::min(end, kvLen);
             ++k) {
          bool counts = keepsListed(list, tile, q, k, math.constant(i));
          ASSERT_EQ(counts, keepsListed(list, tile, q, k, std::nullopt));
          ASSERT_TRUE(!counts || grid.rows[q - grid.begin][k]);
          ASSERT_TRUE(!full || counts) << "query " << q << ", key " << k;
          counted[k] = counted[k] || counts;
        }
    }
    for (int64_t q = q0; q < q1; ++q)
      for (int64_t k = 0; k < kvLen; ++k)
        ASSERT_TRUE(!keepsListed(list, tile, q, k, std::nullopt) || counted[k])
            << "query " << q << ", key " << k << " is in no candidate";
  }

  bool keepsListed(const KeyList &list, const MaskTile &tile, int64_t query,
                   int64_t key, std::optional<OpFoldResult> candidate) {
    OpBuilder builder(&context);
    IndexMath math(builder, builder.getUnknownLoc());
    MaskPoint point;
    point.batch = tile.batch;
    point.head = tile.head;
    point.heads = tile.heads;
    point.kvLen = tile.kvLen;
    point.entry = point.queryRow = point.query = math.constant(query);
    point.key = math.constant(key);
    return number(
        list.keep(builder, builder.getUnknownLoc(), point, candidate));
  }

  /// Intervals against the predicate, for all ranges of queries and several
  /// numbers of keys.
  void checkIntervals(MaskAttrInterface mask, int64_t head, const Grid &grid) {
    OpBuilder builder(&context);
    Location loc = builder.getUnknownLoc();
    IndexMath math(builder, loc);
    for (int64_t q0 = grid.begin; q0 < grid.begin + kGrid; ++q0)
      for (int64_t q1 = q0 + 1; q1 <= grid.begin + kGrid; ++q1)
        for (int64_t kvLen : {1, 10, 24}) {
          MaskTile tile;
          tile.batch = math.constant(0);
          tile.head = math.constant(head);
          tile.heads = math.constant(kHeads);
          tile.entryBegin = tile.queryBegin = math.constant(q0);
          tile.entryEnd = tile.queryEnd = math.constant(q1);
          tile.kvLen = math.constant(kvLen);
          std::bitset<kGrid> visit =
              cover(mask.visitIntervals(builder, loc, tile), kvLen);
          for (const KeyList &list : mask.visitLists(builder, loc, tile)) {
            // All pairs of all tiles would take minutes.
            if ((q1 - q0) % 6 == 1 && kvLen != 1)
              checkList(list, tile, grid);
            visit |= listed(list, kvLen);
          }
          std::bitset<kGrid> full =
              cover(mask.fullIntervals(builder, loc, tile), kvLen);
          std::bitset<kGrid> keys = keysBetween(0, kvLen);
          ASSERT_TRUE((grid.anyKept(q0, q1) & keys & ~visit).none())
              << "queries " << q0 << " to " << q1 << " of " << kvLen
              << " keys: a kept pair is not visited";
          ASSERT_TRUE((full & ~grid.allKept(q0, q1)).none())
              << "queries " << q0 << " to " << q1 << " of " << kvLen
              << " keys: a pair that is not kept counts as full";
        }
  }

  /// The class of each box against the predicate. Boxes have all ranges of
  /// queries; `keyEdges` bound their keys.
  void checkTiles(MaskAttrInterface mask, int64_t head, const Grid &grid,
                  ArrayRef<int64_t> keyEdges, bool exact) {
    for (int64_t q0 = grid.begin; q0 < grid.begin + kGrid; ++q0)
      for (int64_t q1 = q0 + 1; q1 <= grid.begin + kGrid; ++q1)
        for (size_t i = 0; i < keyEdges.size(); ++i)
          for (size_t j = i + 1; j < keyEdges.size(); ++j) {
            TileBox box{q0, q1, keyEdges[i], keyEdges[j]};
            std::bitset<kGrid> keys = keysBetween(keyEdges[i], keyEdges[j]);
            bool empty = (grid.anyKept(q0, q1) & keys).none();
            bool full = (~grid.allKept(q0, q1) & keys).none();
            TileState state = classifyTile(mask, head, box);
            bool right = state == TileState::Empty ? empty
                         : state == TileState::Full
                             ? full
                             : !exact || !(empty || full);
            ASSERT_TRUE(right)
                << "queries " << q0 << " to " << q1 << ", keys " << keyEdges[i]
                << " to " << keyEdges[j] << ": state " << int(state)
                << " (0 empty, 1 partial, 2 full)";
          }
  }

  void checkAll(MaskAttrInterface mask, ArrayRef<int64_t> keyEdges,
                bool exact = false) {
    std::string text;
    llvm::raw_string_ostream(text) << Attribute(mask);
    SCOPED_TRACE(text);
    if (mask.getNumMaskOperands()) {
      EXPECT_EQ(classifyTile(mask, 0, {0, 4, 0, 4}), TileState::Partial);
      EXPECT_FALSE(keepsPair(mask, 0, 0, 0).has_value());
      EXPECT_FALSE(maskDensity(mask, kHeads, 4, 4, 0).has_value());
      return;
    }
    SmallVector<unsigned> operands;
    MaskAttrInterface simple = simplifyMask(mask, operands);
    EXPECT_TRUE(operands.empty());
    if (simple)
      EXPECT_EQ(simplifyMask(simple, operands), simple);
    // Negative positions stand before the first key.
    for (int64_t begin : {int64_t(-5), int64_t(0)}) {
      int64_t kept = 0;
      for (int64_t head = 0; head < kHeads; ++head) {
        SCOPED_TRACE("head " + std::to_string(head));
        Grid grid = evaluate(mask, head, begin);
        checkIntervals(mask, head, grid);
        checkTiles(mask, head, grid, keyEdges, exact);
        if (HasFatalFailure())
          return;
        for (int64_t q = 0; q < kGrid; ++q) {
          kept += grid.rows[q].count();
          for (int64_t k = 0; k < kGrid; ++k)
            ASSERT_EQ(simple ? *keepsPair(simple, head, begin + q, k) : true,
                      grid.rows[q][k])
                << "simplified: query " << begin + q << ", key " << k;
        }
      }
      EXPECT_DOUBLE_EQ(*maskDensity(mask, kHeads, kGrid, kGrid, begin),
                       double(kept) / (kHeads * kGrid * kGrid));
    }
  }

  MLIRContext context;
};

template <typename... Attrs>
struct KindList {
  /// Calls `visit` with the name and a predicate of each mask kind.
  template <typename Fn>
  static void forEachMask(Fn visit) {
    auto one = [&](StringRef name, auto isKind, bool isMask) {
      if (isMask)
        visit(name, isKind);
    };
    (one(
         Attrs::name, [](Attribute a) { return isa<Attrs>(a); },
         std::is_base_of_v<MaskAttrInterface::Trait<Attrs>, Attrs>),
     ...);
  }
};

using AllKinds = KindList<
#define GET_ATTRDEF_LIST
#include "attn/Dialect/Attn/IR/AttnAttrs.cpp.inc"
    >;

TEST_F(MaskTest, EveryKindHasASample) {
  int kinds = 0;
  AllKinds::forEachMask([&](StringRef name, auto isKind) {
    ++kinds;
    bool found = llvm::any_of(kSamples, [&](const char *text) {
      return isKind(Attribute(parse(text)));
    });
    EXPECT_TRUE(found) << name.str() << " has no sample: add one to kSamples";
  });
  EXPECT_GE(kinds, 9);
}

TEST_F(MaskTest, SamplesAgreeOnAllBoxes) {
  SmallVector<int64_t> edges = {0, 1, 2, 3, 5, 8, 13, 23, 24};
  for (const char *text : kSamples) {
    MaskAttrInterface mask = parse(text);
    ASSERT_TRUE(mask) << text;
    checkAll(mask, edges);
  }
}

TEST_F(MaskTest, IntervalKindsAreExact) {
  SmallVector<int64_t> edges = {0, 1, 2, 3, 5, 8, 13, 23, 24};
  for (const char *text : kExact)
    checkAll(parse(text), edges, /*exact=*/true);
}

/// A random tree of masks over the samples.
class RandomMasks {
public:
  explicit RandomMasks(ArrayRef<MaskAttrInterface> leaves, MLIRContext *context)
      : leaves(leaves), context(context) {}

  MaskAttrInterface make(int depth) {
    int kind = depth == 0 ? 0 : pick(6);
    if (kind == 1)
      return NotAttr::get(context, make(depth - 1));
    if (kind == 2 || kind == 3)
      return AllOfAttr::get(context, makeList(depth - 1, pick(4)));
    if (kind == 4)
      return AnyOfAttr::get(context, makeList(depth - 1, pick(4)));
    if (kind == 5) {
      int count = 1 + pick(3);
      SmallVector<int64_t> indices;
      for (int64_t head = 0; head < kHeads; ++head)
        indices.push_back(pick(count));
      return PerHeadAttr::get(context, makeList(depth - 1, count), indices);
    }
    return leaves[pick(leaves.size())];
  }

private:
  SmallVector<MaskAttrInterface> makeList(int depth, int count) {
    SmallVector<MaskAttrInterface> masks;
    for (int i = 0; i < count; ++i)
      masks.push_back(make(depth));
    return masks;
  }
  int pick(int count) {
    return std::uniform_int_distribution<int>(0, count - 1)(random);
  }

  SmallVector<MaskAttrInterface> leaves;
  MLIRContext *context;
  std::mt19937 random{20};
};

TEST_F(MaskTest, RandomCompositionsAgree) {
  SmallVector<MaskAttrInterface> leaves;
  for (const char *text : kSamples)
    if (MaskAttrInterface mask = parse(text); !mask.getNumMaskOperands())
      leaves.push_back(mask);
  RandomMasks random(leaves, &context);
  SmallVector<int64_t> edges = {0, 1, 3, 8, 17, 24};
  for (int i = 0; i < 25 && !HasFailure(); ++i)
    checkAll(random.make(3), edges);
}

TEST_F(MaskTest, DensityOfLargeMasks) {
  auto density = [&](StringRef text, int64_t queryLen, int64_t kvLen) {
    return *maskDensity(parse(text), 32, queryLen, kvLen, kvLen - queryLen);
  };
  // The share of 262,144 random pairs differs from that of all by less than
  // 5 standard deviations of 0.001.
  constexpr int64_t length = 100000;
  EXPECT_NEAR(density("#attn.strided<stride = 4>", length, length), 0.25, 5e-3);
  EXPECT_NEAR(density("#attn.causal", length, length), 0.5, 5e-3);
  EXPECT_NEAR(density("#attn.window<left = 999, right = 0>", length, length),
              0.01, 5e-4);
  EXPECT_DOUBLE_EQ(density("#attn.causal", 1, length), 1);
}

TEST_F(MaskTest, SimplifyFollowsOperands) {
  struct {
    const char *mask;
    SmallVector<unsigned> operands;
    const char *simple;
    SmallVector<unsigned> left;
  } cases[] = {
      {"#attn.all_of<[#attn.documents, #attn.any_of<[]>]>",
       {0, 1},
       "#attn.any_of<[]>",
       {}},
      {"#attn.any_of<[#attn.documents, #attn.all_of<[]>]>",
       {0, 1},
       nullptr,
       {}},
      // The same documents twice, and others.
      {"#attn.all_of<[#attn.documents, #attn.documents]>",
       {0, 1, 0, 1},
       "#attn.documents",
       {0, 1}},
      {"#attn.all_of<[#attn.documents, #attn.documents]>",
       {0, 1, 2, 3},
       "#attn.all_of<[#attn.documents, #attn.documents]>",
       {0, 1, 2, 3}},
      // A member goes and the operands of its neighbours stay.
      {"#attn.all_of<[#attn.documents, #attn.any_of<[#attn.documents, "
       "#attn.all_of<[]>]>, #attn.documents]>",
       {0, 1, 2, 3, 4, 5},
       "#attn.all_of<[#attn.documents, #attn.documents]>",
       {0, 1, 4, 5}},
      {"#attn.per_head<[#attn.documents, #attn.documents, #attn.causal], "
       "[2, 1]>",
       {0, 1, 2, 3},
       "#attn.per_head<[#attn.causal, #attn.documents], [0, 1]>",
       {2, 3}},
      {"#attn.per_head<[#attn.documents, #attn.documents], [0, 1]>",
       {0, 1, 0, 1},
       "#attn.documents",
       {0, 1}},
      {"#attn.per_head<[#attn.documents, #attn.documents], [1, 0]>",
       {0, 1, 2, 3},
       "#attn.per_head<[#attn.documents, #attn.documents], [0, 1]>",
       {2, 3, 0, 1}},
      {"#attn.not<#attn.not<#attn.documents>>",
       {0, 1},
       "#attn.documents",
       {0, 1}},
  };
  for (auto &test : cases) {
    SCOPED_TRACE(test.mask);
    SmallVector<unsigned> operands = test.operands;
    MaskAttrInterface simple = simplifyMask(parse(test.mask), operands);
    EXPECT_EQ(simple, test.simple ? parse(test.simple) : MaskAttrInterface());
    EXPECT_EQ(operands, test.left);
  }
}

/// Bounds of the keys of a row, from the mask and the types of its operands.
TEST(Mask, MaxKeys) {
  MLIRContext context;
  context.loadDialect<AttnDialect>();
  Type numbers = parseType("tensor<1x1x9x2xi32>", &context);
  Type open = parseType("tensor<1x1x9x?xi32>", &context);
  Type counts = parseType("tensor<1x1x9xi32>", &context);
  auto most = [&](StringRef text, ArrayRef<Type> types, int64_t head = 0) {
    auto mask =
        dyn_cast_if_present<MaskAttrInterface>(parseAttribute(text, &context));
    return mask ? mask.getMaxKeys({head, 2, /*query=*/50, /*kvLen=*/100, types})
                : -1;
  };
  StringRef blocks = "#attn.blocks<q_block = 4, kv_block = 8>";
  auto with = [&](StringRef before, StringRef after) {
    return (before + blocks + after).str();
  };
  EXPECT_EQ(most("#attn.causal", {}), 51);
  EXPECT_EQ(most(blocks, {numbers, counts}), 16);
  EXPECT_EQ(most(blocks, {open, counts}), 100);
  EXPECT_EQ(most(with("#attn.all_of<[#attn.causal, ", "]>"), {open, counts}),
            51);
  EXPECT_EQ(most(with("#attn.all_of<[#attn.causal, ", "]>"), {numbers, counts}),
            16);
  EXPECT_EQ(
      most(with("#attn.any_of<[#attn.sink<4>, ", "]>"), {numbers, counts}), 20);
  EXPECT_EQ(most(with("#attn.not<", ">"), {numbers, counts}), 100);
  std::string mixed = with("#attn.per_head<[#attn.sink<4>, ", "], [1, 0]>");
  EXPECT_EQ(most(mixed, {numbers, counts}, 0), 16);
  EXPECT_EQ(most(mixed, {numbers, counts}, 1), 4);
}

} // namespace
