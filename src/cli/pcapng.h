// SPDX-License-Identifier: Apache-2.0
// A pcapng file (draft-ietf-opsawg-pcapng): one section, one Ethernet interface with nanoseconds,
// enhanced packet blocks with a comment where there is something to say, and at the end the
// interface's statistics. In the byte order of this machine, as the format allows. One thread.
#pragma once

#include <cstdint>
#include <ostream>
#include <span>
#include <string>

namespace sluice::cli {

struct PcapngInterface {
    std::string name;
    std::string description;
    std::string filter;  ///< As the user wrote it; empty: none.
    std::uint32_t snap_size = 0;
};

struct PcapngPacket {
    std::uint64_t time_ns = 0;  ///< Since the Unix epoch.
    std::uint32_t frame_size = 0;
    std::span<const std::uint8_t> bytes;
    bool is_inbound = true;  ///< It entered the switch by the interface.
    std::string comment;
};

struct PcapngTotals {
    std::uint64_t start_ns = 0, end_ns = 0;
    std::uint64_t received = 0;
    std::uint64_t missed = 0;
};

/// Writes blocks to a stream; whether that worked is the stream's to say.
class PcapngWriter {
public:
    explicit PcapngWriter(std::ostream& out) : out_(out) {}
    /// Section header and interface; first of all.
    void begin(const PcapngInterface& interface, const std::string& application);
    void write(const PcapngPacket& packet);
    /// Interface statistics; last of all.
    void end(const PcapngTotals& totals);

private:
    void write_block(std::uint32_t type, const std::string& body);
    std::ostream& out_;
};

}  // namespace sluice::cli
