// SPDX-License-Identifier: Apache-2.0
// What an ExpectationTable is made of. Private to slot 2. All zero is empty, so that the memory is
// touched only where it is used. Everything between two hosts of a domain lies in one bucket.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "iochain/byte_lock.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice {

inline constexpr std::uint32_t kExpectationWays = 16;
inline constexpr std::uint32_t kExpectationBuckets = kExpectationMax / kExpectationWays;
inline constexpr std::uint32_t kSessionWays = 8;
inline constexpr std::uint32_t kSessionBuckets = kAlgSessionMax / kSessionWays;

enum class ExpectationState : std::uint8_t {
    kFree = 0,
    kPending,  // Until expires_ns, or its parent's end.
    kTaken,    // By the live connection (source, source_port, destination, destination_port).
};

struct ExpectationTable::Entry {
    std::uint8_t source_ip[16];       // Who may open.
    std::uint8_t destination_ip[16];  // Who announced it.
    DomainId domain;
    Be16 source_port;  // Of kTaken; any before.
    Be16 destination_port;
    Be16 parent_source_port;  // Of the parent's opener's key.
    Be16 parent_destination_port;
    std::uint8_t protocol;
    IpFamily family;
    ExpectationState state;
    bool by_source;  // `source` opened the parent.
    std::uint64_t expires_ns;
    ConnectionHandle parent;  // Policy that takes the ALG from it ends the handle.
};

struct ExpectationTable::Bucket {
    std::uint8_t lock;  // workers: rw, atomic. Before any lock of the connection table.
    Entry entries[kExpectationWays];
};

/// What one side of an FTP control connection has sent of a line.
struct ExpectationTable::Line {
    std::uint32_t next;  // Sequence number of what comes next.
    std::uint8_t size;
    bool begun;
    bool skips;  // Until the next end of line: what it sent before is not known, or too long.
    std::array<char, 121> text;

    [[nodiscard]] std::string_view view() const noexcept { return {text.data(), size}; }
    void restart(std::uint32_t at, bool known) noexcept {
        next = at;
        size = 0;
        begun = true;
        skips = !known;
    }
};

struct ExpectationTable::Session {
    ConnectionTuple tuple;
    bool in_use;
    bool epsv_all;  // The client said EPSV ALL.
    Line lines[2];  // By ConnectionSide.
};

struct ExpectationTable::SessionBucket {
    std::uint8_t lock;  // workers: rw, atomic. Before a lock of Bucket.
    Session sessions[kSessionWays];
};

}  // namespace sluice
