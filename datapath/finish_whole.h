// SPDX-License-Identifier: Apache-2.0
// Finish whole: makes frames that owe nothing of one that may owe a checksum or a segmentation, for
// those who put a header before it that no receiver's offload knows (nsh.cc, service_proxy.cc).
// Worker.
#pragma once

#include <rte_mbuf.h>

#include <array>

#include "datapath/limits.h"
#include "datapath/offload.h"
#include "datapath/segment.h"
#include "datapath/stages.h"
#include "datapath/vtep_port.h"

namespace sluice::datapath {

/// Calls `take(rte_mbuf*)`, which owns it, for each frame that `frame` becomes: itself, or its
/// segments in order. Owns the frame; what can't be finished is dropped.
template <typename Take>
void finish_whole(WorkerContext& context, rte_mbuf* frame, Take&& take) noexcept {
    static const VtepPort kTakesNoOffload;
    if (!owes_offload(*frame)) [[likely]] { return take(frame); }
    const auto finish = [&](rte_mbuf* each) {
        const DropReason reason = finish_checksum(*each, kTakesNoOffload);
        if (reason != DropReason::kNone) { return drop(context, each, reason); }
        take(each);
    };
    if (!wants_segments(*frame, kTakesNoOffload)) { return finish(frame); }
    const std::size_t count = segment_count(*frame);
    if (count == 0 || count > kCutSegmentMax) {
        return drop(context, frame, DropReason::kOffloadMissing);
    }
    if (count == 1) {
        forget_segmentation(*frame);
        return finish(frame);
    }
    std::array<rte_mbuf*, kCutSegmentMax> segments;
    if (!segment(*frame, *context.options.pool, 0, SegmentSum::kFull, {segments.data(), count})) {
        return drop(context, frame, DropReason::kNoBuffer);
    }
    context.counters.created.add(count);
    consume(context, frame);
    for (std::size_t i = 0; i < count; ++i) { take(segments[i]); }
}

}  // namespace sluice::datapath
