// SPDX-License-Identifier: Apache-2.0
// The relay's table of ports; what a port does is in link.cc.
#include "relay/vhost_relay.h"

#include <algorithm>

#include "relay/link.h"

namespace sluice::relay {

VhostRelay::VhostRelay(asio::io_context& context, RelayObserver observer)
    : executor_(context.get_executor()), observer_(std::move(observer)) {}

VhostRelay::~VhostRelay() { stop(); }

Status VhostRelay::check(const RelayPort& port) const {
    const std::string object = "port " + port.name;
    const auto blame = [&](Errc code, const std::string& message) {
        return Error{code, message, object};
    };
    if (port.name.empty()) { return blame(Errc::kInvalid, "a port of the relay has no name"); }
    if (links_.contains(port.name)) {
        return blame(Errc::kExists, object + ": the relay has this port already");
    }
    if (links_.size() >= kLinkMax) {
        return blame(Errc::kLimit,
                     object + ": the relay has " + std::to_string(kLinkMax) + " ports, its most");
    }
    for (const auto& [what, path] :
         {std::pair{"socket", &port.socket_path}, {"library socket", &port.library_path}}) {
        const auto status = check_path(object + ": " + what, *path);
        if (!status.ok()) { return blame(status.error().code, status.error().message); }
    }
    if (port.socket_path == port.library_path) {
        return blame(Errc::kInvalid,
                     object + ": socket " + port.socket_path + " is the library's own");
    }
    if (port.queue_pair_max == 0 || port.queue_pair_max > kQueuePairLimit) {
        return blame(Errc::kInvalid, object + ": " + std::to_string(port.queue_pair_max) +
                                         " queue pairs are outside 1.." +
                                         std::to_string(kQueuePairLimit));
    }
    for (const auto& [name, link] : links_) {
        if (link->port().socket_path == port.socket_path) {
            return blame(Errc::kExists,
                         object + ": socket " + port.socket_path + " belongs to port " + name);
        }
    }
    return Ok{};
}

Status VhostRelay::open_watch() {
    if (watch_) { return Ok{}; }
    auto opened = SocketWatch::open(executor_);
    if (!opened.ok()) { return opened.error(); }
    watch_ = std::move(opened).value();
    return Ok{};
}

Status VhostRelay::add(RelayPort port) { return add(std::move(port), HandedPort{}); }

Status VhostRelay::add(RelayPort port, HandedPort handed) {
    if (auto status = check(port); !status.ok()) { return status; }
    std::shared_ptr<Link> link;
    const std::string name = port.name;
    if (port.mode == SocketMode::kServer) {
        link = std::make_shared<ServerLink>(executor_, std::move(port), observer_);
    } else {
        if (auto status = open_watch(); !status.ok()) { return status; }
        link = std::make_shared<ClientLink>(executor_, std::move(port), observer_, watch_);
    }
    link->adopt(std::move(handed));
    links_.emplace(name, link);
    link->start();
    return Ok{};
}

bool VhostRelay::remove(const std::string& name) {
    const auto found = links_.find(name);
    if (found == links_.end()) { return false; }
    const auto link = found->second;
    links_.erase(found);
    link->stop();
    return true;
}

bool VhostRelay::drop(const std::string& name, const std::string& why) {
    const auto found = links_.find(name);
    return found != links_.end() && found->second->drop(why);
}

bool VhostRelay::replay(const std::string& name) {
    const auto found = links_.find(name);
    return found != links_.end() && found->second->replay();
}

void VhostRelay::hold() {
    for (const auto& [name, link] : links_) { link->hold(); }
}

bool VhostRelay::is_quiet() const {
    return std::all_of(links_.begin(), links_.end(),
                       [](const auto& each) { return each.second->is_quiet(); });
}

HandedPort VhostRelay::hand_over(const std::string& name) {
    const auto found = links_.find(name);
    return found == links_.end() ? HandedPort{} : found->second->hand_over();
}

void VhostRelay::release_library() {
    for (const auto& [name, link] : links_) { link->release_library(); }
}

void VhostRelay::resume() {
    for (const auto& [name, link] : links_) { link->resume(); }
}

std::optional<RelayState> VhostRelay::state(const std::string& name) const {
    const auto found = links_.find(name);
    if (found == links_.end()) { return std::nullopt; }
    return found->second->state();
}

std::vector<std::string> VhostRelay::names() const {
    std::vector<std::string> list;
    for (const auto& [name, link] : links_) { list.push_back(name); }
    return list;
}

void VhostRelay::stop() {
    while (!links_.empty()) { remove(links_.begin()->first); }
    if (watch_) { watch_->close(); }
    watch_.reset();
}

}  // namespace sluice::relay
