//===- Explain.cpp - A report on the attentions of a model ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "Table.h"
#include "attn/Dialect/Attn/IR/AttnDialect.h"
#include "attn/Dialect/Attn/IR/Linear.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/FormatVariadic.h"
#include <mutex>

using namespace mlir;
using namespace mlir::attn;

namespace {

/// A remark after its emission, with the texts that the report prints.
struct RecordedRemark {
  llvm::remarks::Type type;
  Location loc;
  std::string category, name, reason, suggestion, text;

  bool isMissed() const {
    return type == llvm::remarks::Type::Missed ||
           type == llvm::remarks::Type::Failure;
  }
  std::string why() const {
    std::string result = reason.empty() ? name : reason;
    if (!text.empty())
      result += (result.empty() ? "" : ": ") + text;
    if (!suggestion.empty())
      result += "; " + suggestion;
    return result;
  }
};

class Recorder : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit Recorder(std::vector<RecordedRemark> &remarks) : remarks(remarks) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    RecordedRemark record{remark.getRemarkType(),
                          remark.getLocation(),
                          remark.getCombinedCategoryName().str(),
                          remark.getRemarkName().str(),
                          "",
                          "",
                          ""};
    for (const remark::detail::Remark::Arg &arg : remark.getArgs()) {
      if (arg.key == "Reason")
        record.reason = arg.val;
      else if (arg.key == "Suggestion")
        record.suggestion = arg.val;
      else if (arg.key == "Remark")
        record.text += arg.val;
      else
        record.text += llvm::formatv(
            "{0}{1} {2}", record.text.empty() ? "" : ", ", arg.key, arg.val);
    }
    // Passes on functions may run side by side.
    std::lock_guard<std::mutex> lock(mutex);
    remarks.push_back(std::move(record));
  }

private:
  std::vector<RecordedRemark> &remarks;
  std::mutex mutex;
};

/// One line of the table and what stands below it.
struct Row {
  Location loc;
  SmallVector<std::string> cells;
  std::string note;
};

} // namespace

/// The lengths for which the density of a mask is told when the model leaves
/// them open.
static constexpr int64_t nominalLength = 1024;

static std::string sizeText(int64_t size) {
  return ShapedType::isDynamic(size) ? "?" : std::to_string(size);
}

/// The name that a frontend gave to the place, or file and line.
static std::string placeText(Location loc) {
  std::string name, file;
  loc->walk([&](Location part) {
    if (auto nameLoc = dyn_cast<NameLoc>(part); nameLoc && name.empty())
      name = nameLoc.getName().str();
    if (auto fileLoc = dyn_cast<FileLineColLoc>(part); fileLoc && file.empty())
      file = llvm::formatv("{0}:{1}", fileLoc.getFilename().strref(),
                           fileLoc.getLine());
    return WalkResult::advance();
  });
  if (!name.empty())
    return name;
  return file.empty() ? "unknown" : file;
}

/// Where the attention came from, and what the pass that found it noted:
/// `attn.origin` is "softmax at 'NAME'; note; note".
static std::pair<std::string, std::string> originOf(Operation *op) {
  auto origin = op->getAttrOfType<StringAttr>("attn.origin");
  if (!origin)
    return {placeText(op->getLoc()), ""};
  auto [place, note] = origin.getValue().split("; ");
  if (place.consume_front("softmax at '"))
    place.consume_back("'");
  else if (place == "softmax")
    return {placeText(op->getLoc()), note.str()};
  return {place.str(), note.str()};
}

template <typename Op>
static std::string headsText(Op op) {
  std::string heads =
      sizeText(cast<ShapedType>(op.getQuery().getType()).getDimSize(1));
  std::string kvHeads =
      sizeText(cast<ShapedType>(op.getKey().getType()).getDimSize(1));
  std::string valueHeads =
      sizeText(cast<ShapedType>(op.getValue().getType()).getDimSize(1));
  if (valueHeads != kvHeads)
    return heads + "/" + kvHeads + "/" + valueHeads;
  return heads == kvHeads ? heads : heads + "/" + kvHeads;
}

static int64_t keysOf(AttentionOp op) { return op.getStaticKeys(); }
template <typename Op>
static int64_t keysOf(Op op) {
  return cast<ShapedType>(op.getKey().getType()).getDimSize(2);
}

/// "1 x 128 x 512 x 64": batch, queries, keys, width of a head.
template <typename Op>
static std::string sizesText(Op op) {
  auto query = cast<ShapedType>(op.getQuery().getType());
  auto value = cast<ShapedType>(op.getValue().getType());
  std::string text =
      llvm::formatv("{0} x {1} x {2} x {3}", sizeText(query.getDimSize(0)),
                    sizeText(query.getDimSize(2)), sizeText(keysOf(op)),
                    sizeText(query.getDimSize(3)));
  if (query.getDimSize(3) != value.getDimSize(3))
    text += "/" + sizeText(value.getDimSize(3));
  return text;
}

/// "[?,1,1,?]"
static std::string shapeText(Type type) {
  std::string text = "[";
  for (auto [i, size] : llvm::enumerate(cast<ShapedType>(type).getShape()))
    text += (i ? "," : "") + sizeText(size);
  return text + "]";
}

static std::string maskText(AttentionOp op) {
  SmallVector<std::string> parts;
  if (Attribute mask = op.getMaskAttr()) {
    std::string text = llvm::formatv("{0}", mask);
    // The dialect's name is on each part and says nothing here.
    for (size_t at; (at = text.find("#attn.")) != std::string::npos;)
      text.erase(at, 6);
    parts.push_back(text);
  }
  if (Value table = op.getPageTable())
    parts.push_back("pages " + shapeText(table.getType()) + " of " +
                    sizeText(op.getPageSize()) + " keys");
  if (op.getKvLengths())
    parts.push_back("key lengths");
  if (Value keep = op.getKeep())
    parts.push_back("keep " + shapeText(keep.getType()));
  if (Value bias = op.getBias())
    parts.push_back("bias " + shapeText(bias.getType()));
  if (op.hasScore())
    parts.push_back("score region");
  if (op.getSinkLogits())
    parts.push_back("sink logits");
  if (Value rows = op.getRows())
    parts.push_back("rows " + shapeText(rows.getType()));
  return parts.empty() ? "none" : llvm::join(parts, " + ");
}

/// Share of the scores that count, as far as the module alone tells.
static std::string densityText(AttentionOp op) {
  bool isByData =
      op.getKvLengths() || op.getPageTable() || op.getKeep() || op.getRows();
  auto mask = op.getMaskAttr();
  if (!mask)
    return isByData ? "by data" : "100 %";
  auto query = cast<ShapedType>(op.getQuery().getType());
  IntegerAttr offset;
  bool hasOffset = !op.getQueryOffset() ||
                   matchPattern(op.getQueryOffset(), m_Constant(&offset));
  int64_t heads = query.getDimSize(1);
  int64_t queryLen = query.getDimSize(2), kvLen = op.getStaticKeys();
  bool isExact = hasOffset && !ShapedType::isDynamic(queryLen) &&
                 !ShapedType::isDynamic(kvLen);
  if (!isExact)
    queryLen = kvLen = nominalLength;
  // The number of heads matters only where they differ, and is then static.
  std::optional<double> density =
      maskDensity(mask, ShapedType::isDynamic(heads) ? 1 : heads, queryLen,
                  kvLen, isExact && offset ? offset.getInt() : 0);
  if (!density)
    return "by data";
  std::string text = llvm::formatv("{0:F1} %", *density * 100);
  if (!isExact)
    text += llvm::formatv(" at {0}", nominalLength);
  return isByData ? "at most " + text : text;
}

static Row describe(AttentionOp op, size_t number) {
  std::string type = llvm::formatv(
      "{0}", cast<ShapedType>(op.getQuery().getType()).getElementType());
  auto [origin, note] = originOf(op);
  return {op.getLoc(),
          {std::to_string(number), origin, headsText(op), sizesText(op), type,
           maskText(op), densityText(op)},
          note};
}

/// A recurrence: its rule in place of a mask, and the share of all scores that
/// exist, those of a token with its chunk.
static Row describe(LinearAttentionOp op, size_t number) {
  auto query = cast<ShapedType>(op.getQuery().getType());
  auto [origin, note] = originOf(op);
  std::string rule = op.getDecay() || op.getLogDecay() ? "gated " : "";
  rule += op.getBeta() ? "delta rule" : "linear";
  if (op.getWrites())
    rule += ", writes by data";
  int64_t length = query.getDimSize(2);
  bool isExact = !ShapedType::isDynamic(length);
  if (!isExact)
    length = nominalLength;
  double share = length ? 100.0 * op.getChunkSize() / length : 100.0;
  std::string density = llvm::formatv("{0:F1} %", std::min(share, 100.0));
  if (!isExact)
    density += llvm::formatv(" at {0}", nominalLength);
  return {op.getLoc(),
          {std::to_string(number), origin, headsText(op), sizesText(op),
           llvm::formatv("{0}", query.getElementType()), rule, density},
          note};
}

/// Whether the body of `op` holds an `OpTy`, or `op` is the named form.
template <typename OpTy, typename NamedTy>
static bool computes(Operation *op) {
  if (isa<NamedTy>(op))
    return true;
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && !generic.getBody()->getOps<OpTy>().empty();
}

/// Whether `op` is a softmax: as one op, or the exponential of one that is
/// summed and divided by its sum.
static bool isSoftmax(Operation *op) {
  if (isa<linalg::SoftmaxOp>(op))
    return true;
  if (!computes<math::ExpOp, linalg::ExpOp>(op) || op->getNumResults() != 1)
    return false;
  bool isSummed = false, isDivided = false;
  for (Operation *user : op->getUsers()) {
    auto linalgOp = dyn_cast<linalg::LinalgOp>(user);
    isSummed |= linalgOp && linalgOp.getNumReductionLoops() > 0 &&
                !isa<linalg::ContractionOpInterface>(user);
    isDivided |= computes<arith::DivFOp, linalg::DivOp>(user);
  }
  return isSummed && isDivided;
}

/// The path and the reasons against a better one, from remarks at `loc`.
static std::string pathText(Location loc, bool isTiled,
                            ArrayRef<RecordedRemark> remarks,
                            SmallVectorImpl<std::string> &notes) {
  std::string path = isTiled ? "tiles" : "plain linalg";
  for (const RecordedRemark &remark : remarks) {
    if (remark.loc != loc)
      continue;
    if (remark.isMissed()) {
      notes.push_back("not better because " + remark.why());
    } else if (remark.type == llvm::remarks::Type::Passed) {
      if (!remark.text.empty())
        notes.push_back(remark.text);
      path = remark.name;
    } else {
      notes.push_back(remark.why());
    }
  }
  return path;
}

FailureOr<std::string> mlir::attn::explainModule(ModuleOp module,
                                                 ExplainStage raise,
                                                 ExplainStage lower) {
  MLIRContext *context = module.getContext();
  std::vector<RecordedRemark> raiseRemarks, remarks;
  remark::RemarkCategories categories;
  categories.passed = categories.missed = ".*";
  categories.analysis = categories.failed = ".*";
  if (failed(remark::enableOptimizationRemarks(
          *context, std::make_unique<Recorder>(remarks),
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories)))
    return module.emitError("cannot record remarks");
  if (failed(raise(module)))
    return failure();
  raiseRemarks.swap(remarks);

  SmallVector<Row> rows;
  SmallVector<Location> softmaxes;
  module.walk([&](Operation *op) {
    if (auto attention = dyn_cast<AttentionOp>(op))
      rows.push_back(describe(attention, rows.size()));
    else if (auto linear = dyn_cast<LinearAttentionOp>(op))
      rows.push_back(describe(linear, rows.size()));
    else if (isSoftmax(op))
      softmaxes.push_back(op->getLoc());
  });
  if (failed(lower(module)))
    return failure();
  // The loops of a tile program keep the place of its attention.
  DenseSet<Location> tiled;
  module.walk([&](scf::ForallOp op) { tiled.insert(op.getLoc()); });
  // The streamer must not outlive the list that it writes to.
  context->setRemarkEngine(nullptr);

  Table table({"#", "origin", "heads", "batch x queries x keys x width", "type",
               "mask", "density", "path"});
  for (Row &row : rows) {
    SmallVector<std::string> notes;
    if (!row.note.empty())
      notes.push_back(row.note);
    row.cells.push_back(
        pathText(row.loc, tiled.contains(row.loc), remarks, notes));
    table.add(row.cells, notes);
  }
  std::string report;
  llvm::raw_string_ostream os(report);
  if (!rows.empty()) {
    table.print(os);
    os << "\n";
  }
  for (Location loc : softmaxes) {
    os << "softmax '" << placeText(loc) << "' stays";
    for (const RecordedRemark &remark : raiseRemarks)
      if (remark.loc == loc && remark.isMissed())
        os << ": " << remark.why();
    os << "\n";
  }
  os << rows.size() << (rows.size() == 1 ? " attention" : " attentions")
     << " recognised, " << softmaxes.size()
     << (softmaxes.size() == 1 ? " softmax" : " softmaxes") << " left\n";
  return report;
}
