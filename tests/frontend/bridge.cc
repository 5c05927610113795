// SPDX-License-Identifier: Apache-2.0
// service-bridge IN [OUT]: a service that passes everything on: frames of the leg on socket IN go
// out by the leg on socket OUT and back, or by IN again if that is all; offload requests go with
// them. A network service header's index is counted down (RFC 8300 §2.3). Says "ready" when both
// legs are attached; ends with its input. A process of its own, so that it can be stopped and
// killed.
#include <poll.h>
#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "front_end.h"

namespace {

using sluice::frontend::FrontEnd;
using sluice::frontend::Milliseconds;
using sluice::frontend::RxFrame;
using sluice::frontend::TxFrame;

constexpr std::size_t kBurst = 64;
constexpr std::size_t kServiceIndexAt = 14 + 7;

std::unique_ptr<FrontEnd> attach(const std::string& socket) {
    sluice::frontend::Options options;
    options.socket = socket;
    auto leg = std::make_unique<FrontEnd>(options);
    if (!leg->open().ok() || !leg->start(Milliseconds(30000)).ok()) {
        std::cerr << "service-bridge: " << socket << " was not attached\n";
        std::exit(1);
    }
    return leg;
}

void count_down(std::vector<std::uint8_t>& frame) {
    if (frame.size() > kServiceIndexAt && frame[12] == 0x89 && frame[13] == 0x4f) {
        --frame[kServiceIndexAt];
    }
}

// Returns how many it moved.
std::size_t carry(FrontEnd& from, FrontEnd& to, Milliseconds wait) {
    std::vector<RxFrame> frames;
    while (frames.size() < kBurst) {
        auto frame = from.receive(frames.empty() ? wait : Milliseconds(0));
        if (!frame) { break; }
        count_down(frame->frame);
        frame->header.num_buffers = 0;
        frames.push_back(std::move(*frame));
    }
    std::vector<TxFrame> out;
    for (const RxFrame& frame : frames) { out.push_back({frame.frame, frame.header}); }
    if (!out.empty()) { (void)to.send(out, Milliseconds(1000)); }
    return frames.size();
}

bool has_input_ended() {
    pollfd input{0, POLLIN, 0};
    return ::poll(&input, 1, 0) > 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: service-bridge IN [OUT]\n";
        return 2;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto in = attach(argv[1]);
    const auto other = argc > 2 ? attach(argv[2]) : nullptr;
    FrontEnd& out = other ? *other : *in;
    std::cout << "ready" << std::endl;
    while (!has_input_ended() && in->connected() && out.connected()) {
        std::size_t moved = carry(*in, out, Milliseconds(0));
        if (other) { moved += carry(out, *in, Milliseconds(0)); }
        if (moved == 0) { (void)carry(*in, out, Milliseconds(1)); }
    }
    return 0;
}
