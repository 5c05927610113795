// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the DHCP and DHCPv6 judges: an input is a message, from a client or a server,
// whole or as the payload of a frame that says so.
#include "tests/fuzz/judged.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice::fuzz;
    if (size < 1 || size > 1400) { return 0; }
    const bool v6 = (data[0] & 1U) != 0;
    const bool from_server = (data[0] & 2U) != 0;
    const unsigned client_port = v6 ? 546 : 68;
    const unsigned server_port = v6 ? 547 : 67;
    Bytes udp(8);
    put16(udp, 0, from_server ? server_port : client_port);
    put16(udp, 2, from_server ? client_port : server_port);
    put16(udp, 4, size - 1 + udp.size());
    udp.insert(udp.end(), data + 1, data + size);
    judge(v6 ? ipv6(17, udp) : ipv4(17, udp));
    return 0;
}
