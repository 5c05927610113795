// SPDX-License-Identifier: Apache-2.0
// Announcements, and looking at what comes before a run begins.
#include "announce.h"

#include <algorithm>
#include <thread>

#include "tsc.h"

namespace sluice::load {

void announce(End& end, const End& peer) {
    if (end.tx().outstanding() >= end.tx().size()) { return; }
    const frontend::GuestSpan area = end.frames();
    const std::size_t header_bytes = end.header_bytes();
    end.write_header(area.host, {}, kArpFrameBytes);
    write_arp({area.host + header_bytes, kArpFrameBytes}, end.spec().mac, end.spec().ips.front(),
              peer.spec().ips.front());
    end.tx().set(end.tx().slot(), area.guest,
                 static_cast<std::uint32_t>(header_bytes + kArpFrameBytes));
    end.tx().publish(1);
}

bool take_any(End& end) {
    const unsigned count = std::min(end.rx().pending(), end.rx().size());
    bool found = false;
    for (unsigned i = 0; i < count; ++i) {
        const std::uint32_t id = end.rx().used(i).id;
        if (id >= end.rx().size()) { continue; }
        if (end.tx().outstanding() < end.tx().size() && end.answer(i, end.tx().slot())) {
            end.tx().publish(1);
            continue;
        }
        const std::uint8_t* frame = end.rx().buffer(id) + end.header_bytes();
        const bool is_ours = std::equal(frame, frame + 6, end.spec().mac.begin());
        found = found || (is_ours && get16(frame + 12) == 0x0800);
    }
    if (count != 0) { end.rx().recycle(count); }
    return found;
}

Status settle(End& end, std::chrono::milliseconds timeout) {
    const auto deadline = frontend::after(timeout);
    while (end.tx().outstanding() != 0) {
        if (!end.connected()) { return end.gone(); }
        if (frontend::Clock::now() >= deadline) {
            return Error{Errc::kIo,
                         "socket " + end.spec().path + ": the switch takes no frames from the vNIC",
                         end.spec().path};
        }
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return Ok{};
}

Status announce_both(const Ends& ends, std::chrono::milliseconds timeout) {
    announce(*ends.b, *ends.a);
    announce(*ends.a, *ends.b);
    if (auto settled = settle(*ends.a, timeout); !settled) { return settled; }
    return settle(*ends.b, timeout);
}

}  // namespace sluice::load
