// SPDX-License-Identifier: Apache-2.0
// Fuzz target of BFD's control packets: what read_bfd() lets pass says what the bytes say, keeps
// RFC 5880 §6.8.6's rules, and comes out of write_bfd() as it went in.
#include "datapath/bfd_packet.h"
#include "tests/fuzz/fuzzed.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    using fuzz::require;
    const fuzz::Bytes exact(data, data + size);  // Of its own, so that ASan sees a step too far.
    const auto packet = datapath::read_bfd(exact.data(), exact.size());
    if (!packet) { return 0; }
    require(size >= datapath::kBfdSize, "a packet has its mandatory section");
    require(packet->multiplier != 0 && packet->mine != 0, "multiplier and discriminator are set");
    require(exact[0] >> 5U == 1, "version 1");
    const auto again = datapath::write_bfd(*packet);
    const auto same = datapath::read_bfd(again.data(), again.size());
    require(same && *same == *packet, "what was read can be written");
    return 0;
}
