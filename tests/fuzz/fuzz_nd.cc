// SPDX-License-Identifier: Apache-2.0
// Fuzz target of neighbour discovery, MLD and ARP: an input is an ICMPv6 message, the extension
// headers before one, or an ARP packet.
#include "datapath/membership.h"
#include "tests/fuzz/judged.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice::fuzz;
    if (size < 2 || size > 1400) { return 0; }
    const Bytes rest(data + 2, data + size);
    switch (data[0] % 4U) {
        case 0: judge(ipv6(58, rest, 255)); break;
        case 1: judge(ipv6(data[1], rest, 255)); break;
        case 2: {
            judge(ipv6(58, rest, 1));
            sluice::datapath::Membership message;
            static_cast<void>(sluice::datapath::read_mld(rest, message));
            static_cast<void>(sluice::datapath::read_igmp(rest, message));
            break;
        }
        default: {
            Bytes frame = ethernet(0x0806);
            frame.insert(frame.end(), rest.begin(), rest.end());
            judge(frame);
        }
    }
    return 0;
}
