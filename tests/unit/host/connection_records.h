// SPDX-License-Identifier: Apache-2.0
// Connections for tests: one record by hand, and a table with as many as wanted.
#pragma once

#include <sys/mman.h>

#include <cstring>

#include "sluice/iochain/connection_table.h"

namespace sluice::host::test {

inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr PortIndex kVm1{1};
inline constexpr PortIndex kVm2{2};
inline constexpr RuleId kWebIn{70};

inline void put_v4(std::uint8_t* wire, std::uint32_t host_order) {
    const IpAddr ip = IpAddr::v4(host_order);
    std::memcpy(wire, ip.bytes.data(), ip.bytes.size());
}

/// vm1, 10.0.0.1:1000, opened a TCP connection to vm2, 10.0.1.2:80; rule web-in let it in.
inline Connection web_connection() {
    Connection c;
    put_v4(c.tuple.ip_a, 0x0a000001);
    put_v4(c.tuple.ip_b, 0x0a000102);
    c.tuple.port_a = Be16::from_host(1000);
    c.tuple.port_b = Be16::from_host(80);
    c.tuple.protocol = kTcp;
    c.tuple.family = IpFamily::kV4;
    c.opener_port = kVm1;
    c.responder_port = kVm2;
    c.opener_rule = RuleId{1};
    c.responder_rule = kWebIn;
    c.flags = kConnOpenerIsA;
    c.state = ConnectionState::kTcpEstablished;
    return c;
}

/// A table whose memory is taken as records come. UDP connections of vm1, or of vm2 for odd
/// numbers.
class FilledTable {
public:
    explicit FilledTable(std::uint32_t count)
        : bytes_(ConnectionTable::arena_bytes(count)),
          memory_(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
          table_(memory_, count, 1, 42) {
        constexpr std::uint64_t kHour = 3600'000'000'000;
        table_.configure(
            {kHour, kHour, kHour, kHour, kHour, kHour, kHour, kHour, kHour, kHour, kHour, kHour},
            {});
        for (std::uint32_t i = 0; i < count; ++i) { open(i); }
    }
    ~FilledTable() { ::munmap(memory_, bytes_); }
    FilledTable(const FilledTable&) = delete;
    FilledTable& operator=(const FilledTable&) = delete;

    [[nodiscard]] ConnectionTable& table() noexcept { return table_; }
    static constexpr std::uint64_t kNow = 1'000'000'000;

private:
    void open(std::uint32_t number) {
        OpenRequest request;
        ConnectionTuple& tuple = request.tuple.tuple;
        put_v4(tuple.ip_a, 0x0a000000U + number / 50000U);
        put_v4(tuple.ip_b, 0x0b000001);
        tuple.port_a = Be16::from_host(static_cast<std::uint16_t>(number % 50000U + 1000U));
        tuple.port_b = Be16::from_host(53);
        tuple.protocol = kUdp;
        tuple.family = IpFamily::kV4;
        request.tuple.from_a = request.tuple.may_open = true;
        request.opener_port = number % 2 == 0 ? kVm1 : kVm2;
        static_cast<void>(table_.open(0, request, frame_, kNow));
    }

    std::size_t bytes_;
    void* memory_;
    ConnectionTable table_;
    ParsedFrame frame_;
};

}  // namespace sluice::host::test
