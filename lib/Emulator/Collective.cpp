//===- Collective.cpp - Instructions of a warp ----------------------------===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Calls.h"

#include <bit>

using namespace attn::emu;

Thread *Warp::thread(uint32_t lane) const {
  return &block->threads[index * warpSize + lane];
}

static std::string describeMeeting(const Thread &thread) {
  for (const Meeting &meeting : thread.warp->meetings)
    if (meeting.arrived >> thread.lane & 1)
      return formatted("for the lanes 0x%08x of warp %u, of which 0x%08x are "
                       "there",
                       meeting.expected, thread.warp->index, meeting.arrived);
  return "";
}

void attn::emu::meet(const Site *site, uint32_t mask, void *arguments,
                     void (*act)(Warp &, Meeting &)) {
  Thread &thread = self();
  Warp &warp = *thread.warp;
  ++launch.statistics.instructions;
  if (warp.lanes < warpSize)
    mask &= (uint32_t(1) << warp.lanes) - 1;
  if (!(mask >> thread.lane & 1))
    fail(site, "lane %u is not in its own mask 0x%08x", thread.lane, mask);
  if (uint32_t gone = mask & warp.done)
    fail(site, "names lanes 0x%08x of warp %u, which have returned", gone,
         warp.index);
  Meeting *mine = nullptr, *free = nullptr;
  for (Meeting &meeting : warp.meetings) {
    if (!meeting.arrived) {
      free = &meeting;
    } else if (meeting.site == site && meeting.expected == mask) {
      mine = &meeting;
    } else if (meeting.expected & mask) {
      fail(site, "the lanes of warp %u have parted: lanes 0x%08x stand at %s",
           warp.index, meeting.arrived, nameOf(meeting.site).c_str());
    }
  }
  if (!mine)
    mine = free;
  if (!mine)
    fail(site, "warp %u is split into more than four parts", warp.index);
  if (!mine->arrived) {
    mine->site = site;
    mine->expected = mask;
  }
  mine->arrived |= uint32_t(1) << thread.lane;
  mine->arguments[thread.lane] = arguments;
  if (mine->arrived != mine->expected)
    return wait(site, describeMeeting);
  act(warp, *mine);
  mine->arrived = 0;
  for (uint32_t lane = 0; lane < warp.lanes; ++lane)
    if (mask >> lane & 1 && lane != thread.lane)
      wake(warp.thread(lane)->index);
}

void attn::emu::meetAligned(const Site *site, void *arguments,
                            void (*act)(Warp &, Meeting &)) {
  Warp &warp = *self().warp;
  if (warp.lanes < warpSize)
    fail(site, "runs in a warp of %u threads; it needs 32", warp.lanes);
  meet(site, ~uint32_t(0), arguments, act);
}

/// Calls `visit(lane, thread)` for the lanes that have met.
template <typename Visit>
static void forLanes(Warp &warp, const Meeting &meeting, Visit visit) {
  for (uint32_t lane = 0; lane < warp.lanes; ++lane)
    if (meeting.arrived >> lane & 1)
      visit(lane, *warp.thread(lane));
}

void attn_emu_warp_sync(const Site *site, int32_t mask) {
  meet(site, static_cast<uint32_t>(mask), nullptr,
       [](Warp &warp, Meeting &meeting) {
         Clock joint;
         joint.reset(warp.block->components, warp.block->base);
         forLanes(warp, meeting,
                  [&](uint32_t, Thread &thread) { joint.join(thread.clock); });
         forLanes(warp, meeting, [&](uint32_t, Thread &thread) {
           thread.clock.join(joint);
           thread.tick();
         });
       });
}

namespace {
struct ShuffleArguments {
  int32_t value, lane, clamp, mode;
  int32_t result, inRange;
};

struct VoteArguments {
  int64_t value;
  int32_t kind, result;
};
} // namespace

int32_t attn_emu_shfl(const Site *site, int32_t mask, int32_t value,
                      int32_t lane, int32_t clamp, int32_t mode,
                      int32_t *inRange) {
  ShuffleArguments arguments = {value, lane, clamp, mode, 0, 0};
  meet(site, static_cast<uint32_t>(mask), &arguments,
       [](Warp &warp, Meeting &meeting) {
         auto at = [&](uint32_t lane) -> ShuffleArguments & {
           return *static_cast<ShuffleArguments *>(meeting.arguments[lane]);
         };
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           ShuffleArguments &mine = at(lane);
           int32_t own = static_cast<int32_t>(lane), b = mine.lane & 31;
           int32_t last = mine.clamp & 31, segment = mine.clamp >> 8 & 31;
           int32_t high = (own & segment) | (last & ~segment);
           int32_t low = own & segment, from = own;
           bool inside = false;
           switch (mine.mode) {
           case 0: // bfly
             from = own ^ b;
             inside = from <= high;
             break;
           case 1: // up
             from = own - b;
             inside = from >= high;
             break;
           case 2: // down
             from = own + b;
             inside = from <= high;
             break;
           case 3: // idx
             from = low | (b & ~segment);
             inside = from <= high;
             break;
           }
           if (!inside)
             from = own;
           if (!(meeting.arrived >> from & 1))
             fail(meeting.site, "lane %d reads lane %d, which takes no part",
                  own, from);
           mine.result = at(static_cast<uint32_t>(from)).value;
           mine.inRange = inside;
         });
       });
  if (inRange)
    *inRange = arguments.inRange;
  return arguments.result;
}

int32_t attn_emu_vote(const Site *site, int32_t mask, int32_t predicate,
                      int32_t kind) {
  VoteArguments arguments = {predicate, kind, 0};
  meet(site, static_cast<uint32_t>(mask), &arguments,
       [](Warp &warp, Meeting &meeting) {
         uint32_t votes = 0;
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           auto *each = static_cast<VoteArguments *>(meeting.arguments[lane]);
           votes |= uint32_t(each->value != 0) << lane;
         });
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           auto *each = static_cast<VoteArguments *>(meeting.arguments[lane]);
           switch (each->kind) {
           case 0: // any
             each->result = votes != 0;
             break;
           case 1: // all
             each->result = votes == meeting.expected;
             break;
           case 2: // ballot
             each->result = static_cast<int32_t>(votes);
             break;
           default: // uni
             each->result = !votes || votes == meeting.expected;
           }
         });
       });
  return arguments.result;
}

int32_t attn_emu_elect(const Site *site, int32_t mask) {
  auto lanes = static_cast<uint32_t>(mask);
  meet(site, lanes, nullptr, [](Warp &, Meeting &) {});
  return self().lane == static_cast<uint32_t>(std::countr_zero(lanes));
}

int32_t attn_emu_redux(const Site *site, int32_t mask, int32_t value,
                       int32_t kind) {
  VoteArguments arguments = {value, kind, 0};
  meet(site, static_cast<uint32_t>(mask), &arguments,
       [](Warp &warp, Meeting &meeting) {
         bool first = true;
         int32_t total = 0;
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           auto *each = static_cast<VoteArguments *>(meeting.arguments[lane]);
           auto next = static_cast<int32_t>(each->value);
           auto low = static_cast<uint32_t>(total);
           auto more = static_cast<uint32_t>(next);
           if (first) {
             total = next;
             first = false;
             return;
           }
           switch (each->kind) {
           case 1: // add
             total = static_cast<int32_t>(low + more);
             break;
           case 2: // and
             total &= next;
             break;
           case 3: // max
             total = std::max(total, next);
             break;
           case 4: // min
             total = std::min(total, next);
             break;
           case 5: // or
             total |= next;
             break;
           case 6: // umax
             total = static_cast<int32_t>(std::max(low, more));
             break;
           case 7: // umin
             total = static_cast<int32_t>(std::min(low, more));
             break;
           default: // xor
             total ^= next;
           }
         });
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           static_cast<VoteArguments *>(meeting.arguments[lane])->result =
               total;
         });
       });
  return arguments.result;
}

int32_t attn_emu_match(const Site *site, int32_t mask, int64_t value,
                       int32_t all) {
  VoteArguments arguments = {value, all, 0};
  meet(site, static_cast<uint32_t>(mask), &arguments,
       [](Warp &warp, Meeting &meeting) {
         forLanes(warp, meeting, [&](uint32_t lane, Thread &) {
           auto *mine = static_cast<VoteArguments *>(meeting.arguments[lane]);
           uint32_t same = 0;
           forLanes(warp, meeting, [&](uint32_t other, Thread &) {
             auto *each =
                 static_cast<VoteArguments *>(meeting.arguments[other]);
             same |= uint32_t(each->value == mine->value) << other;
           });
           mine->result = static_cast<int32_t>(
               mine->kind && same != meeting.expected ? 0 : same);
         });
       });
  return arguments.result;
}
