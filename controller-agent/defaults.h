// SPDX-License-Identifier: Apache-2.0
// The table of defaults in docs/defaults.md, made from default-constructed model types so that it
// cannot drift from them. A unit test compares the file with this text. Any thread, pure.
#pragma once

#include <string>
#include <vector>

namespace sluice::agent {

/// One line of the table.
struct DefaultRow {
    std::string key;      ///< "port_groups[].limits.arp_pps"
    std::string value;    ///< As JSON, or words where the default is computed.
    std::string meaning;  ///< Unit and meaning, never empty.
};

[[nodiscard]] std::vector<DefaultRow> defaults();

/// The whole of docs/defaults.md.
[[nodiscard]] std::string defaults_markdown();

}  // namespace sluice::agent
