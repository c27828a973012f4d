//===- Simple.cpp - Registers, barriers, shuffles, copies as calls --------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Emitter.h"
#include "attn/Dialect/NV/IR/NVDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::attn;
using namespace mlir::attn::emulator;

namespace {

/// Moves the builder into a block that runs only if `predicate` holds.
void onlyIf(Value predicate, Operation *op, Emitter &e) {
  Block *before = op->getBlock();
  Block *after = before->splitBlock(op);
  OpBuilder &b = e.b();
  Block *inside = b.createBlock(after);
  b.setInsertionPointToEnd(before);
  LLVM::CondBrOp::create(b, op->getLoc(), predicate, inside, after);
  b.setInsertionPointToEnd(inside);
  auto branch = LLVM::BrOp::create(b, op->getLoc(), after);
  b.setInsertionPoint(branch);
}

/// The number of a special register in attn_emu_sreg, or -1.
int registerNumber(StringRef name) {
  if (!name.consume_front("nvvm.read.ptx.sreg."))
    return -1;
  return llvm::StringSwitch<int>(name)
      .Case("tid.x", 0)
      .Case("tid.y", 1)
      .Case("tid.z", 2)
      .Case("ntid.x", 3)
      .Case("ntid.y", 4)
      .Case("ntid.z", 5)
      .Case("ctaid.x", 6)
      .Case("ctaid.y", 7)
      .Case("ctaid.z", 8)
      .Case("nctaid.x", 9)
      .Case("nctaid.y", 10)
      .Case("nctaid.z", 11)
      .Case("laneid", 12)
      .Case("warpid", 13)
      .Case("nwarpid", 14)
      .Case("warpsize", 15)
      .Case("lanemask.eq", 16)
      .Case("lanemask.le", 17)
      .Case("lanemask.lt", 18)
      .Case("lanemask.ge", 19)
      .Case("lanemask.gt", 20)
      .Case("dynamic.smem.size", 21)
      .Cases({"total.smem.size", "aggr.smem.size"}, 22)
      .Case("smid", 23)
      .Case("nsmid", 24)
      .Case("cluster.ctarank", 25)
      .Case("cluster.nctarank", 26)
      .Default(-1);
}

class SimpleRewriter {
public:
  SimpleRewriter(Operation *op, Context &context)
      : op(op), e(context.emitter) {}

  FailureOr<bool> run() {
    e.at(op);
    int number = registerNumber(op->getName().getStringRef());
    if (number >= 0) {
      replace(e.call("attn_emu_sreg", e.i32(), {e.i32(number)}));
      return true;
    }
    if (auto unary = unaryName(); !unary.empty()) {
      replace(e.call(unary, e.b().getF32Type(), {op->getOperand(0)}));
      return true;
    }
    known = true;
    llvm::TypeSwitch<Operation *>(op)
        .Case<NVVM::Barrier0Op, NVVM::BarrierOp, NVVM::BarrierArriveOp,
              NVVM::SyncWarpOp, NVVM::ShflOp, NVVM::VoteSyncOp,
              NVVM::ElectSyncOp, NVVM::ReduxOp, NVVM::MatchSyncOp,
              NVVM::CpAsyncOp, NVVM::MBarrierInitOp, NVVM::MBarrierArriveOp,
              NVVM::MBarrierArriveDropOp, NVVM::MBarrierArriveExpectTxOp,
              NVVM::MBarrierTestWaitOp, NVVM::MBarrierTryWaitOp,
              NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp,
              NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp,
              NVVM::CpAsyncBulkGlobalToSharedClusterOp, NVVM::PermuteOp,
              NVVM::ConvertF32x2ToF16x2Op, NVVM::ConvertF32x2ToBF16x2Op,
              NVVM::ConvertFloatToTF32Op, NVVM::FenceProxyOp>(
            [&](auto op) { rewrite(op); })
        .Case([&](NVVM::CpAsyncCommitGroupOp) {
          e.call("attn_emu_cp_async_commit", {site()});
        })
        .Case([&](NVVM::CpAsyncWaitGroupOp op) {
          e.call("attn_emu_cp_async_wait", {site(), e.i32(op.getN())});
        })
        .Case([&](NVVM::CpAsyncMBarrierArriveOp op) {
          e.call("attn_emu_cp_async_arrive",
                 {site(), op.getAddr(), e.i32(op.getNoinc())});
        })
        .Case([&](NVVM::MBarrierInvalOp op) {
          e.call("attn_emu_mbarrier_inval", {site(), op.getAddr()});
        })
        .Case([&](NVVM::MBarrierExpectTxOp op) {
          e.call("attn_emu_mbarrier_expect", e.i64(),
                 {site(), op.getAddr(), op.getTxcount(), e.i32(0)});
        })
        .Case([&](NVVM::MBarrierCompleteTxOp op) {
          e.call("attn_emu_mbarrier_complete",
                 {site(), op.getAddr(), op.getTxcount()});
        })
        .Case([&](NVVM::MBarrierTryWaitParityOp op) {
          waitFor(op.getAddr(), op.getPhase(), true);
        })
        .Case([&](nv::MBarrierWaitOp op) {
          waitFor(op.getBarrier(), op.getParity(), true);
        })
        .Case([&](nv::MBarrierArriveOp op) {
          e.call("attn_emu_mbarrier_arrive", e.i64(),
                 {site(), op.getBarrier(), e.i32(1),
                  e.integer(op.getPredicate(), e.i32()), e.i32(0)});
        })
        .Case([&](NVVM::CpAsyncBulkCommitGroupOp) {
          e.call("attn_emu_bulk_commit", {site()});
        })
        .Case([&](NVVM::CpAsyncBulkWaitGroupOp op) {
          e.call("attn_emu_bulk_wait", {site(), e.i32(op.getGroup())});
        })
        .Case([&](NVVM::CpAsyncBulkSharedCTAToGlobalOp op) {
          e.call("attn_emu_bulk_store",
                 {site(), op.getDstMem(), op.getSrcMem(), op.getSize()});
        })
        .Case([&](NVVM::SetMaxRegisterOp op) {
          bool more = op.getAction() == NVVM::SetMaxRegisterAction::increase;
          e.call("attn_emu_setmaxreg",
                 {site(), e.i32(op.getRegCount()), e.i32(more)});
        })
        .Case([&](NVVM::FenceMbarrierInitOp) {
          e.call("attn_emu_fence_proxy", {site()});
        })
        .Case<NVVM::MembarOp, NVVM::FenceScClusterOp>(
            [&](auto) { e.call("attn_emu_fence", {site()}); })
        .Case(
            [&](NVVM::NanosleepOp) { e.call("attn_emu_nanosleep", {site()}); })
        .Case<NVVM::ClockOp, NVVM::GlobalTimerLoOp>([&](auto) {
          Value clock = e.call("attn_emu_clock", e.i64(), {});
          replace(e.integer(clock, e.i32()));
        })
        .Case<NVVM::Clock64Op, NVVM::GlobalTimerOp>(
            [&](auto) { replace(e.call("attn_emu_clock", e.i64(), {})); })
        // Hints have no effect.
        .Case<NVVM::PrefetchOp, NVVM::GriddepcontrolOp,
              NVVM::CpAsyncBulkPrefetchOp, NVVM::CpAsyncBulkTensorPrefetchOp>(
            [](auto) {})
        .Default([&](Operation *) { known = false; });
    if (bad)
      return failure();
    return known;
  }

private:
  Value site() { return e.site(op); }
  void replace(Value value) { op->getResult(0).replaceAllUsesWith(value); }
  Value truth(Value value) {
    return LLVM::ICmpOp::create(e.b(), op->getLoc(), LLVM::ICmpPredicate::ne,
                                value, e.i32(0));
  }
  void refuse(const Twine &what) {
    op->emitOpError("is unknown to the emulator ") << what;
    bad = true;
  }

  StringRef unaryName() {
    StringRef name = op->getName().getStringRef();
    if (auto call = dyn_cast<LLVM::CallIntrinsicOp>(op))
      name = call.getIntrin();
    return llvm::StringSwitch<StringRef>(name)
        .Cases({"attn_nv.exp2", "llvm.nvvm.ex2.approx.ftz",
                "llvm.nvvm.ex2.approx.ftz.f", "llvm.nvvm.ex2.approx",
                "llvm.nvvm.ex2.approx.f"},
               "attn_emu_exp2")
        .Cases({"attn_nv.log2", "llvm.nvvm.lg2.approx.ftz.f",
                "llvm.nvvm.lg2.approx.f"},
               "attn_emu_log2")
        .Cases({"attn_nv.tanh", "llvm.nvvm.tanh.approx.f"}, "attn_emu_tanh")
        .Cases({"attn_nv.rcp", "nvvm.rcp.approx.ftz.f",
                "llvm.nvvm.rcp.approx.ftz.f"},
               "attn_emu_rcp")
        .Default("");
  }

  void rewrite(NVVM::Barrier0Op) {
    e.call("attn_emu_barrier", e.i32(),
           {site(), e.i32(0), e.i32(0), e.i32(-1), e.i32(0)});
  }

  void rewrite(NVVM::BarrierOp barrier) {
    Value id = barrier.getBarrierId(), count = barrier.getNumberOfThreads();
    Value predicate = barrier.getReductionPredicate();
    int64_t reduction = barrier.getReductionOp()
                            ? static_cast<int64_t>(*barrier.getReductionOp())
                            : -1;
    Value result = e.call("attn_emu_barrier", e.i32(),
                          {site(), id ? id : e.i32(0), count ? count : e.i32(0),
                           e.i32(reduction), predicate ? predicate : e.i32(0)});
    if (barrier.getRes())
      replace(result);
  }

  void rewrite(NVVM::BarrierArriveOp barrier) {
    Value id = barrier.getBarrierId();
    e.call("attn_emu_barrier_arrive",
           {site(), id ? id : e.i32(0), barrier.getNumberOfThreads()});
  }

  void rewrite(NVVM::SyncWarpOp sync) {
    e.call("attn_emu_warp_sync", {site(), sync.getMask()});
  }

  void rewrite(NVVM::ShflOp shuffle) {
    Type type = shuffle.getVal().getType();
    bool pair = shuffle.getReturnValueAndIsValid().value_or(false);
    Value valid = pair ? e.scratch(0) : e.null();
    Value result = e.call(
        "attn_emu_shfl", e.i32(),
        {site(), shuffle.getThreadMask(), e.integer(shuffle.getVal(), e.i32()),
         shuffle.getOffset(), shuffle.getMaskAndClamp(),
         e.i32(static_cast<int64_t>(shuffle.getKind())), valid});
    if (type != e.i32())
      result = LLVM::BitcastOp::create(e.b(), op->getLoc(), type, result);
    if (!pair)
      return replace(result);
    Value both = LLVM::PoisonOp::create(e.b(), op->getLoc(), shuffle.getType());
    both = LLVM::InsertValueOp::create(e.b(), op->getLoc(), both, result,
                                       int64_t(0));
    replace(LLVM::InsertValueOp::create(e.b(), op->getLoc(), both,
                                        truth(e.load(e.i32(), valid)), 1));
  }

  void rewrite(NVVM::VoteSyncOp vote) {
    Value result =
        e.call("attn_emu_vote", e.i32(),
               {site(), vote.getMask(), e.integer(vote.getPred(), e.i32()),
                e.i32(static_cast<int64_t>(vote.getKind()))});
    replace(vote.getType().isInteger(1) ? truth(result) : result);
  }

  void rewrite(NVVM::ElectSyncOp elect) {
    Value mask = elect.getMembermask();
    replace(truth(
        e.call("attn_emu_elect", e.i32(), {site(), mask ? mask : e.i32(-1)})));
  }

  void rewrite(NVVM::ReduxOp redux) {
    if (!redux.getType().isInteger(32))
      return refuse("with floating-point values");
    replace(e.call("attn_emu_redux", e.i32(),
                   {site(), redux.getMaskAndClamp(), redux.getVal(),
                    e.i32(static_cast<int64_t>(redux.getKind()))}));
  }

  void rewrite(NVVM::MatchSyncOp match) {
    if (!match.getType().isInteger(32))
      return refuse("with a predicate");
    replace(e.call("attn_emu_match", e.i32(),
                   {site(), match.getThreadMask(),
                    e.integer(match.getVal(), e.i64()), e.i32(0)}));
  }

  void rewrite(NVVM::CpAsyncOp copy) {
    Value size = e.i32(copy.getSize());
    e.call("attn_emu_cp_async", {site(), copy.getDst(), copy.getSrc(), size,
                                 copy.getCpSize() ? copy.getCpSize() : size});
  }

  void rewrite(NVVM::MBarrierInitOp init) {
    if (init.getPredicate())
      onlyIf(init.getPredicate(), op, e);
    e.call("attn_emu_mbarrier_init", {site(), init.getAddr(), init.getCount()});
  }

  void arrive(Value address, Value count, bool drop) {
    Value state = e.call(
        "attn_emu_mbarrier_arrive", e.i64(),
        {site(), address, count ? count : e.i32(1), e.i32(1), e.i32(drop)});
    if (op->getNumResults())
      replace(state);
  }

  void rewrite(NVVM::MBarrierArriveOp op) {
    arrive(op.getAddr(), op.getCount(), false);
  }

  void rewrite(NVVM::MBarrierArriveDropOp op) {
    arrive(op.getAddr(), op.getCount(), true);
  }

  void rewrite(NVVM::MBarrierArriveExpectTxOp expect) {
    if (expect.getPredicate()) {
      if (op->getNumResults())
        return refuse("with a predicate and a result");
      onlyIf(expect.getPredicate(), op, e);
    }
    Value state =
        e.call("attn_emu_mbarrier_expect", e.i64(),
               {site(), expect.getAddr(), expect.getTxcount(), e.i32(1)});
    if (op->getNumResults())
      replace(state);
  }

  /// A state of 64 bits holds the phase; its lowest bit is the parity.
  Value waitFor(Value address, Value state, bool blocking) {
    bool parity = state.getType().isInteger(32);
    return e.call("attn_emu_mbarrier_test", e.i32(),
                  {site(), address, e.integer(state, e.i64()), e.i32(parity),
                   e.i32(blocking)});
  }

  void rewrite(NVVM::MBarrierTestWaitOp test) {
    replace(truth(waitFor(test.getAddr(), test.getStateOrPhase(), false)));
  }

  // It may block, so here it does.
  void rewrite(NVVM::MBarrierTryWaitOp test) {
    replace(truth(waitFor(test.getAddr(), test.getStateOrPhase(), true)));
  }

  void rewrite(NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp copy) {
    if (copy.getMode() != NVVM::TMALoadMode::TILE || copy.getMulticastMask())
      return refuse("in this mode");
    if (copy.getPredicate())
      onlyIf(copy.getPredicate(), op, e);
    Value at = e.pack(0, copy.getCoordinates(), 4);
    e.call("attn_emu_tma_load",
           {site(), copy.getDstMem(), copy.getTmaDescriptor(), copy.getMbar(),
            e.i32(copy.getCoordinates().size()), at});
  }

  void rewrite(NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp copy) {
    if (copy.getMode() != NVVM::TMAStoreMode::TILE)
      return refuse("in this mode");
    if (copy.getPredicate())
      onlyIf(copy.getPredicate(), op, e);
    Value at = e.pack(0, copy.getCoordinates(), 4);
    e.call("attn_emu_tma_store",
           {site(), copy.getTmaDescriptor(), copy.getSrcMem(),
            e.i32(copy.getCoordinates().size()), at});
  }

  void rewrite(NVVM::CpAsyncBulkGlobalToSharedClusterOp copy) {
    if (copy.getMulticastMask())
      return refuse("with a multicast mask");
    e.call("attn_emu_bulk_load", {site(), copy.getDstMem(), copy.getSrcMem(),
                                  copy.getSize(), copy.getMbar()});
  }

  void rewrite(NVVM::PermuteOp permute) {
    Value high = permute.getHi();
    replace(
        e.call("attn_emu_prmt", e.i32(),
               {permute.getLo(), high ? high : e.i32(0), permute.getSelector(),
                e.i32(static_cast<int64_t>(permute.getMode()))}));
  }

  template <typename Op>
  void rewriteConvert(Op convert) {
    if (convert.getRnd() != NVVM::FPRoundingMode::RN || convert.getRelu() ||
        convert.getSat() != NVVM::SaturationMode::NONE)
      return refuse("with a rounding other than rn, relu or saturation");
    OpBuilder &b = e.b();
    auto type = cast<VectorType>(convert.getType());
    Value pair = LLVM::PoisonOp::create(b, op->getLoc(), type);
    Value halves[] = {convert.getSrcLo(), convert.getSrcHi()};
    for (auto [i, half] : llvm::enumerate(halves)) {
      Value rounded =
          LLVM::FPTruncOp::create(b, op->getLoc(), type.getElementType(), half);
      pair = LLVM::InsertElementOp::create(b, op->getLoc(), pair, rounded,
                                           e.i32(i));
    }
    replace(pair);
  }

  void rewrite(NVVM::ConvertF32x2ToF16x2Op op) { rewriteConvert(op); }
  void rewrite(NVVM::ConvertF32x2ToBF16x2Op op) { rewriteConvert(op); }

  /// Ten bits of fraction stay: to nearest, ties away from zero (rna) or to
  /// even (rn).
  void rewrite(NVVM::ConvertFloatToTF32Op convert) {
    OpBuilder &b = e.b();
    Location loc = op->getLoc();
    Value bits = e.integer(convert.getSrc(), e.i32());
    Value half = e.i32(0x1000);
    if (convert.getRnd() == NVVM::FPRoundingMode::RN) {
      Value odd = LLVM::AndOp::create(
          b, loc, LLVM::LShrOp::create(b, loc, bits, e.i32(13)), e.i32(1));
      half = LLVM::AddOp::create(b, loc, e.i32(0xfff), odd);
    }
    // Infinities and NaNs stay as they are.
    Value exponent = LLVM::AndOp::create(b, loc, bits, e.i32(0x7f800000));
    Value special = LLVM::ICmpOp::create(b, loc, LLVM::ICmpPredicate::eq,
                                         exponent, e.i32(0x7f800000));
    Value rounded = LLVM::AndOp::create(
        b, loc, LLVM::AddOp::create(b, loc, bits, half), e.i32(-0x2000));
    replace(LLVM::SelectOp::create(b, loc, special, bits, rounded));
  }

  void rewrite(NVVM::FenceProxyOp fence) {
    e.call("attn_emu_fence_proxy", {site()});
  }

  Operation *op;
  Emitter &e;
  bool known = false, bad = false;
};

} // namespace

FailureOr<bool> mlir::attn::emulator::rewriteSimple(Operation *op,
                                                    Context &context) {
  return SimpleRewriter(op, context).run();
}
