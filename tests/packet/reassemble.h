// SPDX-License-Identifier: Apache-2.0
// Reassemble: what a receiver makes of the segments of one TCP frame, checked field by field by a
// parser and a checksum of its own (nothing of the datapath is used). Tests only.
#pragma once

#include <string>
#include <vector>

#include "tests/packet/frames.h"

namespace sluice::test {

enum class Sum { kRight, kPartial };  ///< Finished, or only the pseudo-header's sum in the field.

/// What is wrong with `segments` as the cut of `whole` into payloads of `most` bytes; empty if
/// nothing is. `whole` and the segments may have a tag, IPv4 options, IPv6 extension headers. What
/// may differ from `whole`: lengths, IPv4 id and header checksum, sequence number, FIN, PSH, CWR,
/// TCP checksum; each must be what RFC 9293, 791 and 3168 demand there.
[[nodiscard]] std::string faults_of_cut(const Bytes& whole, const std::vector<Bytes>& segments,
                                        std::size_t most, Sum sum);

}  // namespace sluice::test
