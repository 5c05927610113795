// SPDX-License-Identifier: Apache-2.0
// KernelPorts: see kernel_ports.h. A descriptor that workers may use is taken away first
// (set_fd(-1)), and closed, with its interface, after a grace period; only then a new one is made.
#include "src/sluiced/kernel_ports.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>

#include "privileged/netns.h"
#include "sluice/model/resolve.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = relay::asio;

constexpr std::chrono::milliseconds kLook{1000};
constexpr std::chrono::milliseconds kQuickLook{20};  // A name is there before its namespace is.
constexpr unsigned kQuickLooks = 10;

Error of_port(const std::string& port, const Error& error) {
    return Error{error.code, "port " + port + ": " + error.message, "port " + port};
}

bool is_kernel(const model::Port& port) { return port.kind == model::PortKind::kKernel; }

}  // namespace

KernelPorts::KernelPorts(asio::io_context& io, datapath::Dataplane& dataplane, rte_mempool* pool,
                         privileged::HelperClient& helper)
    : io_(io), dataplane_(dataplane), pool_(pool), helper_(helper), timer_(io), events_(io) {
    if (const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); fd >= 0) {
        events_.assign(fd);
        read_events();
    }
    tick();
}

KernelPorts::Shared KernelPorts::describe(const model::Resolver& resolver,
                                          const model::Port& port) {
    const model::PortGroup& group = *resolver.port_group(port.port_group);
    auto interface = std::make_shared<Interface>();
    interface->port = port.name;
    interface->spec = {port.netns, port.interface, port.mac,
                       resolver.switch_of(group.switch_name)->mtu, port.addresses};
    return interface;
}

// Another name or another namespace is another interface; the rest can be changed in place.
bool KernelPorts::is_present(const Interface& wanted) const {
    const auto at = interfaces_.find(wanted.port);
    return at != interfaces_.end() && at->second->spec.netns == wanted.spec.netns &&
           at->second->spec.name == wanted.spec.name;
}

asio::awaitable<Status> KernelPorts::prepare(const model::Document& document) {
    const model::Resolver resolver(document);
    for (const model::Port& port : document.ports) {
        if (!is_kernel(port)) { continue; }
        Shared wanted = describe(resolver, port);
        if (is_present(*wanted)) { continue; }
        privileged::InterfaceSpec spec = wanted->spec;
        Result<privileged::MadeInterface> made = co_await helper_.open(std::move(spec));
        if (!made) {
            discard();
            co_return of_port(port.name, made.error());
        }
        wanted->device = std::make_shared<datapath::TapPort>(pool_);
        wanted->tap = std::move(made.value().tap);
        wanted->index = made.value().index;
        wanted->netns_inode = made.value().netns_inode;
        wanted->device->set_fd(wanted->tap.get());
        prepared_.insert_or_assign(port.name, std::move(wanted));
    }
    co_return Ok{};
}

void KernelPorts::prepare_later(const model::Document& document) {
    const model::Resolver resolver(document);
    for (const model::Port& port : document.ports) {
        if (!is_kernel(port)) { continue; }
        Shared wanted = describe(resolver, port);
        wanted->device = std::make_shared<datapath::TapPort>(pool_);
        prepared_.insert_or_assign(port.name, std::move(wanted));
    }
}

std::shared_ptr<datapath::Port> KernelPorts::device(const std::string& port) const {
    for (const Interfaces* from : {&prepared_, &interfaces_}) {
        if (const auto at = from->find(port); at != from->end()) { return at->second->device; }
    }
    return nullptr;
}

void KernelPorts::commit(const model::Document& document) {
    const model::Resolver resolver(document);
    Interfaces wanted;
    for (const model::Port& port : document.ports) {
        if (is_kernel(port)) { wanted.emplace(port.name, describe(resolver, port)); }
    }
    for (auto at = interfaces_.begin(); at != interfaces_.end();) {
        const Shared interface = at->second;
        if (wanted.contains(at->first) && !prepared_.contains(at->first)) {
            if (interface->spec != wanted.at(at->first)->spec) {
                interface->spec = wanted.at(at->first)->spec;
                asio::awaitable<void> change = configure(interface);
                relay::spawn(io_.get_executor(), std::move(change));
            }
            ++at;
            continue;
        }
        interface->is_removed = true;
        ++closing_;
        asio::awaitable<void> closing = close_removed(interface);
        relay::spawn(io_.get_executor(), std::move(closing));
        at = interfaces_.erase(at);
    }
    for (auto& [name, interface] : prepared_) {
        spdlog::info("port {}: {}", name,
                     interface->tap.valid() ? "its interface is there" : interface->why);
        interfaces_.emplace(name, std::move(interface));
    }
    prepared_.clear();
    quick_looks_ = 1;
    tick();
}

void KernelPorts::discard() { prepared_.clear(); }

asio::awaitable<void> KernelPorts::finish_removal() {
    co_await wait_until([this] { return closing_ == 0; });
}

void KernelPorts::stop() {
    timer_.cancel();
    relay::error_code ignored;
    events_.close(ignored);
    interfaces_.clear();
    prepared_.clear();
}

std::string KernelPorts::state_text(const std::string& port) const {
    const auto at = interfaces_.find(port);
    if (at == interfaces_.end()) { return ""; }
    const Interface& interface = *at->second;
    if (!interface.tap.valid()) { return interface.why; }
    if (interface.device->is_set_down()) {
        return "interface \"" + interface.spec.name + "\" is set down";
    }
    if (interface.device->is_gone()) {
        return "interface \"" + interface.spec.name + "\" was deleted";
    }
    return interface.why;
}

// A folder that comes later, or comes anew, is found by the next look.
void KernelPorts::watch() {
    if (!events_.is_open()) { return; }
    watch_ = inotify_add_watch(events_.native_handle(), privileged::kNetnsFolder,
                               IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_ONLYDIR);
}

void KernelPorts::read_events() {
    events_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this](const relay::error_code& error) {
                           if (error) { return; }
                           char ignored[4096];
                           while (::read(events_.native_handle(), ignored, sizeof ignored) > 0) {}
                           quick_looks_ = kQuickLooks;
                           tick();
                           read_events();
                       });
}

void KernelPorts::tick() {
    if (!interfaces_.empty()) { watch(); }
    for (const auto& [name, interface] : interfaces_) { look_after(interface); }
    if (quick_looks_ > 0) { --quick_looks_; }
    timer_.expires_after(quick_looks_ > 0 ? kQuickLook : kLook);
    timer_.async_wait([this](const relay::error_code& error) {
        if (!error) { tick(); }
    });
}

void KernelPorts::resume() {
    is_held_ = false;
    tick();
}

std::vector<KernelPorts::Handed> KernelPorts::hand_over() const {
    std::vector<Handed> list;
    for (const auto& [name, each] : interfaces_) {
        if (!each->tap.valid() || each->is_busy) { continue; }
        list.push_back({name, each->spec.netns, each->spec.name, each->tap.duplicate(), each->index,
                        each->netns_inode});
    }
    return list;
}

void KernelPorts::adopt(Handed handed) {
    const auto at = interfaces_.find(handed.port);
    if (at == interfaces_.end() || !handed.tap.valid()) { return; }
    Interface& interface = *at->second;
    if (interface.spec.netns != handed.netns || interface.spec.name != handed.name) { return; }
    interface.tap = std::move(handed.tap);
    interface.index = handed.index;
    interface.netns_inode = handed.netns_inode;
    set_why(interface, "its interface is there");
    interface.device->set_fd(interface.tap.get());
}

void KernelPorts::look_after(const Shared& interface) {
    if (interface->is_busy || is_held_) { return; }
    const std::string& netns = interface->spec.netns;
    const std::uint64_t inode = netns.empty() ? 0 : privileged::netns_inode(netns);
    if (interface->tap.valid()) {
        if (inode != interface->netns_inode) {
            lose(interface, "netns \"" + netns + "\" is gone");
        } else if (interface->device->is_gone()) {
            lose(interface, "interface \"" + interface->spec.name + "\" was deleted");
        } else {
            interface->device->try_again();
        }
        return;
    }
    if (!netns.empty() && inode == 0) {
        set_why(*interface, "netns \"" + netns + "\" does not exist in /run/netns");
        return;
    }
    interface->is_busy = true;
    asio::awaitable<void> making = make_again(interface);
    relay::spawn(io_.get_executor(), std::move(making));
}

void KernelPorts::lose(const Shared& interface, std::string why) {
    set_why(*interface, std::move(why));
    interface->is_busy = true;
    asio::awaitable<void> closing = close_lost(interface);
    relay::spawn(io_.get_executor(), std::move(closing));
}

asio::awaitable<void> KernelPorts::close_tap(Shared interface) {
    interface->device->set_fd(-1);
    const std::uint64_t token = dataplane_.start_grace();
    const datapath::Dataplane* dataplane = &dataplane_;
    co_await wait_until([dataplane, token] { return dataplane->is_settled(token); });
    interface->tap.reset();
}

asio::awaitable<void> KernelPorts::close_lost(Shared interface) {
    co_await close_tap(interface);
    interface->is_busy = false;
    if (interface->is_removed) { co_return; }
    quick_looks_ = kQuickLooks;
    tick();
}

asio::awaitable<void> KernelPorts::close_removed(Shared interface) {
    co_await close_tap(interface);
    --closing_;
}

asio::awaitable<void> KernelPorts::make_again(Shared interface) {
    const privileged::InterfaceSpec asked = interface->spec;
    privileged::InterfaceSpec spec = asked;
    Result<privileged::MadeInterface> made = co_await helper_.open(std::move(spec));
    interface->is_busy = false;
    if (interface->is_removed) { co_return; }
    if (!made) {
        set_why(*interface, made.error().message);
        co_return;
    }
    interface->tap = std::move(made.value().tap);
    interface->index = made.value().index;
    interface->netns_inode = made.value().netns_inode;
    set_why(*interface, "its interface is there");
    interface->device->set_fd(interface->tap.get());
    if (interface->spec != asked) { co_await configure(interface); }
}

asio::awaitable<void> KernelPorts::configure(Shared interface) {
    if (!interface->tap.valid()) { co_return; }  // It will be made as it shall be.
    privileged::InterfaceSpec spec = interface->spec;
    const Status done = co_await helper_.configure(std::move(spec), interface->index);
    if (interface->is_removed) { co_return; }
    set_why(*interface, done ? "its interface is there" : done.error().message);
}

void KernelPorts::set_why(Interface& interface, std::string why) {
    if (interface.why == why) { return; }
    interface.why = std::move(why);
    spdlog::info("port {}: {}", interface.port, interface.why);
}

}  // namespace sluice::daemon
