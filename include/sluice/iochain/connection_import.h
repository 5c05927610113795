// SPDX-License-Identifier: Apache-2.0
// Connection import: puts a connection that another host tracked into the table of this one, as
// live migration brings its vNIC here (ADR 50). The same row may come twice, early and at the
// switch-over, and after packets have already passed here: the newest of both counts. Implemented
// by slot 2. Thread: a worker, between bursts; no allocation.
#pragma once

#include <cstdint>

#include "sluice/iochain/connection_table.h"

namespace sluice {

/// One connection as it is to be here: ports and rules are this host's numbers.
struct ConnectionImport {
    TupleOfFrame tuple;  ///< As of a frame of the opener; may_open is set.
    PortIndex opener_port = kNoPort, responder_port = kNoPort;  ///< kNoPort: in the fabric.
    RuleId opener_rule, responder_rule;                         ///< 0: to be judged anew.
    bool opener_stateful = false, responder_stateful = false;
    bool alg = false, related = false, logged = false, is_liberal = false;
    ConnectionState state = ConnectionState::kClosed;  ///< Live, and not is_closed().
    std::uint64_t remaining_ns = 0;                    ///< Until it expires.
    TcpPeer peer[2];  ///< [0] opener, [1] responder; flags as TcpPeerFlag.
    std::uint64_t packets = 0, bytes = 0;
};

struct ConnectionImported {
    ConnectionHandle handle;                ///< Not set: refused.
    DropReason reason = DropReason::kNone;  ///< Why it was refused: a limit.
    bool is_new = false;                    ///< There was none of the tuple.
};

/// Opens or renews the connection. Handles to an older record of the tuple may be stale then.
ConnectionImported import_connection(ConnectionTable& table, unsigned worker,
                                     const ConnectionImport& row, std::uint64_t now_ns) noexcept;

}  // namespace sluice
