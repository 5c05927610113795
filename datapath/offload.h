// SPDX-License-Identifier: Apache-2.0
// Offload: what a frame still owes when it leaves. A receiver that takes partial checksums and
// segmentation requests gets them whole; for one that doesn't the checksum is finished here.
// Thread: the worker that polls the egress port.
#pragma once

#include "datapath/port.h"
#include "sluice/iochain/drop_reason.h"

struct rte_mbuf;

namespace sluice::datapath {

/// Makes `frame` fit what `receiver` takes. @return kNone, or why it can't be sent.
[[nodiscard]] DropReason finish_offload(rte_mbuf& frame, const Port& receiver) noexcept;

}  // namespace sluice::datapath
