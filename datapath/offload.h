// SPDX-License-Identifier: Apache-2.0
// Offload: what a frame still owes when it leaves. A receiver that takes partial checksums and
// segmentation requests gets them whole; for one that doesn't the frame is cut (segment.h) and its
// checksum finished here. Thread: the worker that polls the egress port.
#pragma once

#include <rte_mbuf.h>

#include "datapath/port.h"
#include "sluice/iochain/drop_reason.h"

namespace sluice::datapath {

/// True if `frame` has a transport checksum or a segmentation to be done by whoever sends it.
[[nodiscard]] inline bool owes_offload(const rte_mbuf& frame) noexcept {
    return (frame.ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)) != 0;
}

/// True if `frame` must be cut before `receiver` gets it: it is TCP to be segmented, and the
/// receiver does not take that for its family, or could not finish the checksums of the segments.
[[nodiscard]] bool wants_segments(const rte_mbuf& frame, const Port& receiver) noexcept;

/// True if `receiver` finishes a partial transport checksum of frames like this one.
[[nodiscard]] bool takes_checksum(const rte_mbuf& frame, const Port& receiver) noexcept;

/// Makes the transport checksum of `frame` fit what `receiver` takes: left alone, or finished. For
/// frames that need no cut. @return kNone, or why it can't be sent.
[[nodiscard]] DropReason finish_checksum(rte_mbuf& frame, const Port& receiver) noexcept;

/// Turns a frame to be segmented whose payload fits one segment into one with a partial checksum.
void forget_segmentation(rte_mbuf& frame) noexcept;

}  // namespace sluice::datapath
