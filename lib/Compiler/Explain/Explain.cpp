//===- Explain.cpp - A report on the attentions of a model ----------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Explain.h"
#include "Selections.h"
#include "Table.h"
#include "Work.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
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

/// An attention, as the report tells of it.
struct Row {
  std::string kind;
  Location loc;
  std::string origin, heads, sizes, type, mask, path;
  Share share;
  SmallVector<std::string> notes;
};

} // namespace

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

/// A row without what is special about the operation.
template <typename Op>
static Row start(Op op) {
  auto [origin, note] = originOf(op);
  Row row{
      op->getName().stripDialect().str(),
      op.getLoc(),
      origin,
      headsText(op),
      sizesText(op),
      llvm::formatv("{0}",
                    cast<ShapedType>(op.getQuery().getType()).getElementType()),
      "",
      "",
      {},
      {}};
  if (!note.empty())
    row.notes.push_back(note);
  return row;
}

static std::optional<Row> describe(Operation *op) {
  std::optional<Row> row;
  if (auto attention = dyn_cast<AttentionOp>(op)) {
    row = start(attention);
    row->mask = maskText(attention);
    row->share = shareOf(attention);
  } else if (auto linear = dyn_cast<LinearAttentionOp>(op)) {
    // A recurrence has a rule in place of a mask.
    row = start(linear);
    row->mask = linear.getDecay() || linear.getLogDecay() ? "gated " : "";
    row->mask += linear.getBeta() ? "delta rule" : "linear";
    if (linear.getWrites())
      row->mask += ", writes by data";
    row->share = shareOf(linear);
  } else if (auto spans = dyn_cast<SpanAttentionOp>(op)) {
    row = start(spans);
    row->mask = llvm::formatv(
        "window {0} + {1} spans", spans.getWindow(),
        sizeText(cast<ShapedType>(spans.getBegins().getType()).getDimSize(3)));
    row->share = shareOf(spans);
  } else if (auto local = dyn_cast<LocalLinearAttentionOp>(op)) {
    row = start(local);
    row->mask = "causal, locally linear";
    row->share.value = 1;
    row->notes.push_back("costs more than a softmax: each row solves a system");
  }
  if (row)
    if (std::string saved = row->share.note(); !saved.empty())
      row->notes.push_back(saved);
  return row;
}

/// "0.4 % of dense attention", or a number of operations where there is none.
static std::string costText(const Choice &selection, double dense) {
  std::string text = dense > 0
                         ? llvm::formatv("{0:F2} % of dense attention",
                                         100 * selection.operations / dense)
                         : llvm::formatv("{0:F2} million operations",
                                         selection.operations / 1e6);
  if (selection.isNominal)
    text += llvm::formatv(" at {0}", nominalLength);
  return text;
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

namespace {
/// What the report says, before it has a form.
struct Report {
  std::vector<Row> rows;
  std::vector<Choice> selections;
  std::vector<std::string> selectionOrigins;
  double dense = 0; ///< operations of all attentions, were they dense
  std::vector<std::pair<std::string, std::string>> softmaxes; ///< and why

  std::string asText() const;
  std::string asJson() const;
};
} // namespace

std::string Report::asText() const {
  std::string report;
  llvm::raw_string_ostream os(report);
  Table table({"#", "origin", "heads", "batch x queries x keys x width", "type",
               "mask", "density", "path"});
  for (auto [number, row] : llvm::enumerate(rows))
    table.add({std::to_string(number), row.origin, row.heads, row.sizes,
               row.type, row.mask, row.share.text(), row.path},
              row.notes);
  if (!rows.empty()) {
    table.print(os);
    os << "\n";
  }
  Table choices({"selection", "origin", "chooses", "cost"});
  for (auto [selection, origin] : llvm::zip(selections, selectionOrigins))
    choices.add(
        {selection.name, origin, selection.chooses, costText(selection, dense)},
        {});
  if (!selections.empty()) {
    choices.print(os);
    os << "\n";
  }
  for (const auto &[place, why] : softmaxes)
    os << "softmax '" << place << "' stays" << (why.empty() ? "" : ": ") << why
       << "\n";
  os << rows.size() << (rows.size() == 1 ? " attention" : " attentions")
     << " recognised, " << softmaxes.size()
     << (softmaxes.size() == 1 ? " softmax" : " softmaxes") << " left\n";
  return report;
}

/// The share of the work that is saved: at least so much, if a bound.
static llvm::json::Value savedJson(const Share &share) {
  return share.value ? llvm::json::Value(1 - *share.value)
                     : llvm::json::Value(nullptr);
}

std::string Report::asJson() const {
  llvm::json::Array attentions, choices, left;
  for (const Row &row : rows)
    attentions.push_back(llvm::json::Object{
        {"operation", row.kind},
        {"origin", row.origin},
        {"heads", row.heads},
        {"sizes", row.sizes},
        {"type", row.type},
        {"mask", row.mask},
        {"density", row.share.text()},
        {"saved", savedJson(row.share)},
        {"saved_is_bound", row.share.isBound},
        {"saves_by", row.share.reason},
        {"nominal_length", row.share.isNominal
                               ? llvm::json::Value(nominalLength)
                               : llvm::json::Value(nullptr)},
        {"path", row.path},
        {"notes", llvm::json::Array(row.notes)}});
  for (auto [selection, origin] : llvm::zip(selections, selectionOrigins))
    choices.push_back(llvm::json::Object{
        {"operation", selection.name},
        {"origin", origin},
        {"chooses", selection.chooses},
        {"operations", selection.operations},
        {"of_dense", dense > 0 ? llvm::json::Value(selection.operations / dense)
                               : llvm::json::Value(nullptr)},
        {"nominal_length", selection.isNominal
                               ? llvm::json::Value(nominalLength)
                               : llvm::json::Value(nullptr)}});
  for (const auto &[place, why] : softmaxes)
    left.push_back(llvm::json::Object{{"origin", place}, {"reason", why}});
  return llvm::formatv("{0:2}\n", llvm::json::Value(llvm::json::Object{
                                      {"attentions", std::move(attentions)},
                                      {"selections", std::move(choices)},
                                      {"softmaxes_left", std::move(left)}}))
      .str();
}

FailureOr<std::string> mlir::attn::explainModule(ModuleOp module,
                                                 ExplainStage raise,
                                                 ExplainStage lower,
                                                 ReportForm form) {
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

  Report report;
  module.walk([&](Operation *op) {
    if (auto row = describe(op)) {
      report.rows.push_back(*row);
      report.dense += denseOperations(op);
    } else if (auto selection = describeChoice(op)) {
      report.selections.push_back(*selection);
      report.selectionOrigins.push_back(originOf(op).first);
    } else if (isSoftmax(op)) {
      std::string why;
      for (const RecordedRemark &remark : raiseRemarks)
        if (remark.loc == op->getLoc() && remark.isMissed())
          why += (why.empty() ? "" : ": ") + remark.why();
      report.softmaxes.push_back({placeText(op->getLoc()), why});
    }
  });
  if (failed(lower(module)))
    return failure();
  // The loops of a tile program keep the place of its attention.
  DenseSet<Location> tiled;
  module.walk([&](scf::ForallOp op) { tiled.insert(op.getLoc()); });
  // The streamer must not outlive the list that it writes to.
  context->setRemarkEngine(nullptr);
  for (Row &row : report.rows)
    row.path = pathText(row.loc, tiled.contains(row.loc), remarks, row.notes);
  return form == ReportForm::Json ? report.asJson() : report.asText();
}
