// SPDX-License-Identifier: Apache-2.0
// SizeWatch: see size_watch.h. A look every few seconds: nobody waits for the line.
#include "src/sluiced/size_watch.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kLook{5};
constexpr std::uint32_t kEthernetBytes = 14;

std::uint64_t too_long(const datapath::Dataplane& dataplane, PortIndex port) {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < dataplane.worker_count(); ++i) {
        const auto& drops = dataplane.worker(i).context().ports[port.value].drops;
        for (const DropReason reason : {DropReason::kTooBig, DropReason::kOversizeFrame}) {
            sum += drops[static_cast<std::size_t>(reason)].get();
        }
    }
    return sum;
}

}  // namespace

SizeWatch::SizeWatch(asio::io_context& io, const datapath::Dataplane& dataplane)
    : timer_(io), dataplane_(dataplane) {
    auto task = run();
    asio::co_spawn(io, std::move(task), asio::detached);
}

void SizeWatch::stop() {
    is_stopped_ = true;
    timer_.cancel();
}

void SizeWatch::look() {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    for (std::size_t i = 0; i < snapshot.ports.size(); ++i) {
        const PortIndex index{static_cast<std::uint16_t>(i)};
        const datapath::PortConfig* port = snapshot.port(index);
        if (port == nullptr || port->is_uplink || told_.count(port->name) != 0) { continue; }
        if (too_long(dataplane_, index) == 0) { continue; }
        told_.insert(port->name);
        spdlog::warn(
            "port {}: its guest sends frames that are too long: its MTU should be at most {}, or "
            "what the underlay carries",
            port->name, port->frame_size_max - kEthernetBytes);
    }
}

asio::awaitable<void> SizeWatch::run() {
    while (!is_stopped_) {
        look();
        boost::system::error_code ignored;
        timer_.expires_after(kLook);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

}  // namespace sluice::daemon
