// SPDX-License-Identifier: Apache-2.0
// What the scale harness measures: see measure.h.
#include "tests/bench/fleet/measure.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "controller-agent/fleet/agent.h"
#include "controller-agent/ovsdb/value.h"
#include "sluice/net/address_text.h"
#include "tests/bench/fleet/fill.h"
#include "tests/bench/fleet/stand_in.h"

namespace sluice::scale {
namespace {

constexpr double kSyncSeconds = 300, kChangeSeconds = 5;
constexpr std::size_t kFaultMax = 20;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Resident memory of this process, bytes.
std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0, resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// Milliseconds: middle, 99 of 100, longest.
nlohmann::json spread(std::vector<double> values) {
    if (values.empty()) { return nullptr; }
    std::sort(values.begin(), values.end());
    const auto at = [&values](double share) {
        const auto index = static_cast<std::size_t>(share * static_cast<double>(values.size()));
        return values[std::min(index, values.size() - 1)];
    };
    return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"max", values.back()}, {"count", values.size()}};
}

/// The operation that gives an item of a map another text.
nlohmann::json item_edit(const std::string& table, const nlohmann::json& where,
                         const std::string& name, const std::string& text) {
    nlohmann::json gone = nlohmann::json::array({"set", nlohmann::json::array({name})});
    nlohmann::json pair = nlohmann::json::array({name, text});
    nlohmann::json come = nlohmann::json::array({"map", nlohmann::json::array({std::move(pair)})});
    nlohmann::json mutations = nlohmann::json::array();
    mutations.push_back(nlohmann::json::array({"items", "delete", std::move(gone)}));
    mutations.push_back(nlohmann::json::array({"items", "insert", std::move(come)}));
    return {{"op", "mutate"}, {"table", table}, {"where", where}, {"mutations", mutations}};
}

/// A condition, in brackets of its own: an initializer list would make an object of two of them.
nlohmann::json is(const std::string& column, nlohmann::json value) {
    return nlohmann::json::array({column, "==", std::move(value)});
}

class Harness {
public:
    Harness(boost::asio::io_context& io, Setting setting)
        : io_(io),
          setting_(std::move(setting)),
          config_(io, setting_.config, "Sluice_Config"),
          status_(io, setting_.status, "Sluice_Status") {}

    boost::asio::awaitable<nlohmann::json> run();

private:
    struct One {
        std::unique_ptr<StandIn> host;
        std::unique_ptr<fleet::Agent> agent;
        std::size_t bindings_wanted = 0;
    };

    void make_agents();
    boost::asio::awaitable<void> settle(double seconds);
    boost::asio::awaitable<void> change_ports();
    boost::asio::awaitable<void> move_bindings();
    [[nodiscard]] boost::asio::awaitable<nlohmann::json> port_edit(std::string name,
                                                                   std::size_t host, IpAddr ip);
    [[nodiscard]] nlohmann::json binding_edit(std::size_t host, std::size_t port,
                                              std::size_t number);
    void count_strangers(const std::set<std::size_t>& appliers, const std::set<std::size_t>& told);
    [[nodiscard]] std::set<std::size_t> reaching(std::size_t network) const;
    [[nodiscard]] bool all_told(const std::set<std::size_t>& hosts) const;
    [[nodiscard]] double last_told_ms(const std::set<std::size_t>& hosts,
                                      Clock::time_point start) const;
    [[nodiscard]] bool holds_all(const One& one) const;
    [[nodiscard]] std::size_t count_elsewhere(std::size_t host) const;
    void fault(const std::string& text) {
        if (faults_.size() < kFaultMax) { faults_.push_back(text); }
    }
    void forget() {
        for (One& one : all_) { one.host->forget(); }
    }

    boost::asio::io_context& io_;
    Setting setting_;
    Writer config_, status_;
    std::vector<One> all_;
    std::mt19937_64 random_{7};
    nlohmann::json report_;
    std::vector<std::string> faults_;
    std::size_t strangers_ = 0;
};

void Harness::make_agents() {
    for (std::size_t host = 0; host < setting_.agents; ++host) {
        One one;
        one.host = std::make_unique<StandIn>(setting_.shape, host);
        one.bindings_wanted = count_elsewhere(host);
        fleet::AgentOptions options;
        options.remotes = ovsdb::parse_remotes(setting_.config).value();
        options.seed = host + 1;
        one.agent = std::make_unique<fleet::Agent>(io_, *one.host, std::move(options));
        all_.push_back(std::move(one));
    }
}

/// MACs elsewhere in the networks of a host.
std::size_t Harness::count_elsewhere(std::size_t host) const {
    std::size_t count = 0;
    for (std::size_t other = 0; other < setting_.shape.hosts; ++other) {
        if (other == host) { continue; }
        for (std::size_t port = 0; port < setting_.shape.host_ports(); ++port) {
            count += setting_.shape.reaches(host, setting_.shape.network_of(other, port)) ? 1 : 0;
        }
    }
    return count;
}

bool Harness::holds_all(const One& one) const {
    return one.agent->state() == fleet::AgentState::kLive &&
           one.host->port_count() == setting_.shape.host_ports() &&
           one.host->bindings().size() >= one.bindings_wanted;
}

boost::asio::awaitable<void> Harness::settle(double seconds) {
    const auto start = Clock::now();
    std::function<bool()> live = [this] {
        return std::all_of(all_.begin(), all_.end(), [](const One& one) {
            return one.agent->state() == fleet::AgentState::kLive && one.host->apply_count > 0;
        });
    };
    if (!co_await until(live, seconds)) { fault("agents are not live"); }
    report_["live_s"] = seconds_since(start);
    std::size_t done = 0;  // The first so many hold all: each is asked until it does, in turn.
    std::function<bool()> complete = [this, &done] {
        while (done < all_.size() && holds_all(all_[done])) { ++done; }
        return done == all_.size();
    };
    if (!co_await until(complete, seconds)) {
        const One& one = all_[done];
        fault(one.host->host_name() + " holds " + std::to_string(one.host->port_count()) +
              " ports, " + std::to_string(one.host->bindings().size()) + " bindings of " +
              std::to_string(one.bindings_wanted) + ", state " +
              fleet::to_text(one.agent->state()));
    }
    report_["sync_s"] = seconds_since(start);
    // Ends of tunnels that are reported late are a change of their own: none is under way.
    std::size_t seen = 0;
    auto since = Clock::now();
    std::function<bool()> calm = [this, &seen, &since] {
        std::size_t now = 0;
        for (const One& one : all_) { now += one.host->apply_count + one.host->binding_count; }
        if (std::exchange(seen, now) != now) { since = Clock::now(); }
        return Clock::now() - since > std::chrono::milliseconds(300);
    };
    if (!co_await until(calm, seconds)) { fault("changes do not end"); }
}

std::set<std::size_t> Harness::reaching(std::size_t network) const {
    std::set<std::size_t> out;
    for (std::size_t host = 0; host < all_.size(); ++host) {
        if (setting_.shape.reaches(host, network)) { out.insert(host); }
    }
    return out;
}

bool Harness::all_told(const std::set<std::size_t>& hosts) const {
    return std::all_of(hosts.begin(), hosts.end(),
                       [this](std::size_t host) { return all_[host].host->binding_count > 0; });
}

double Harness::last_told_ms(const std::set<std::size_t>& hosts, Clock::time_point start) const {
    double last = 0;
    for (const std::size_t host : hosts) {
        const std::chrono::duration<double, std::milli> took = all_[host].host->bound_at - start;
        last = std::max(last, took.count());
    }
    return last;
}

/// Hosts that the last change reached and did not concern.
void Harness::count_strangers(const std::set<std::size_t>& appliers,
                              const std::set<std::size_t>& told) {
    for (std::size_t host = 0; host < all_.size(); ++host) {
        const StandIn& one = *all_[host].host;
        const bool is_stranger = (one.apply_count > 0 && !appliers.contains(host)) ||
                                 (one.binding_count > 0 && !told.contains(host));
        if (!is_stranger) { continue; }
        ++strangers_;
        fault(one.host_name() + " was touched by a change that is not its own");
    }
    forget();
}

/// The operation that gives a port another address, in the row that holds it.
boost::asio::awaitable<nlohmann::json> Harness::port_edit(std::string name, std::size_t host,
                                                          IpAddr ip) {
    nlohmann::json where = nlohmann::json::array();
    where.push_back(is("scope", host_name(host)));
    nlohmann::json select = nlohmann::json::array();
    select.push_back({{"op", "select"}, {"table", "Port"}, {"where", std::move(where)}});
    const nlohmann::json rows = co_await config_.select(std::move(select));
    nlohmann::json out = nlohmann::json::array();
    for (const nlohmann::json& row : rows) {
        const auto items = ovsdb::parse_datum(row.at("items"));
        const auto texts =
            items.ok() ? items.value().text_map() : decltype(items.value().text_map()){};
        const auto found = texts.find(name);
        if (found == texts.end()) { continue; }
        nlohmann::json object = nlohmann::json::parse(found->second);
        object["ips"] = {to_string(ip)};
        out.push_back(item_edit("Port", nlohmann::json::array({is("_uuid", row.at("_uuid"))}), name,
                                object.dump()));
    }
    co_return out;
}

/// A port's address changes in the database: its host, and no other one, gets a new document; who
/// shares its network learns of the address from that host's report.
boost::asio::awaitable<void> Harness::change_ports() {
    std::vector<double> applied, told;
    for (std::size_t count = 0; count < setting_.changes; ++count) {
        const std::size_t host = random_() % all_.size();
        const std::size_t port = random_() % setting_.shape.host_ports();
        const std::string name = port_name(host, port);
        const IpAddr ip = IpAddr::v4(0x64400001U + static_cast<std::uint32_t>(count));
        std::set<std::size_t> others = reaching(setting_.shape.network_of(host, port));
        others.erase(host);
        nlohmann::json edit = co_await port_edit(name, host, ip);
        forget();
        const auto start = Clock::now();
        const std::size_t rows = co_await config_.write(std::move(edit));
        if (rows != 1) { fault(name + " is in " + std::to_string(rows) + " rows"); }
        StandIn& one = *all_[host].host;
        std::function<bool()> is_done = [this, &one, &others] {
            return one.apply_count > 0 && all_told(others);
        };
        if (!co_await until(is_done, kChangeSeconds)) { fault("a change of " + name + " is lost"); }
        const std::vector<IpAddr> now = one.ips_of(name);
        if (now != std::vector{ip}) { fault(name + " has not its new address"); }
        const std::chrono::duration<double, std::milli> took = one.applied_at - start;
        applied.push_back(took.count());
        if (!others.empty()) { told.push_back(last_told_ms(others, start)); }
        count_strangers({host}, others);
    }
    report_["port_change_ms"] = spread(std::move(applied));
    report_["port_told_ms"] = spread(std::move(told));
}

/// The operation that changes what a host without an agent tells of a MAC.
nlohmann::json Harness::binding_edit(std::size_t host, std::size_t port, std::size_t number) {
    const std::string mac = to_string(mac_of(setting_.shape, host, port));
    const IpAddr ip = IpAddr::v4(0x64800001U + static_cast<std::uint32_t>(number));
    const std::size_t network = setting_.shape.network_of(host, port);
    const nlohmann::json where =
        nlohmann::json::array({is("host", host_name(host)), is("segment", segment_of(network))});
    nlohmann::json out = nlohmann::json::array();
    out.push_back(
        item_edit("Binding", where, mac, std::to_string(number + 2) + " 2 " + to_string(ip)));
    return out;
}

/// What another host tells of a VM of its own reaches those that share the network, and no others.
boost::asio::awaitable<void> Harness::move_bindings() {
    std::vector<double> told;
    const std::size_t silent = setting_.shape.hosts - all_.size();
    for (std::size_t count = 0; silent > 0 && count < setting_.changes; ++count) {
        const std::size_t host = all_.size() + random_() % silent;
        const std::size_t port = random_() % setting_.shape.host_ports();
        const std::set<std::size_t> concerned = reaching(setting_.shape.network_of(host, port));
        if (concerned.empty()) { continue; }
        nlohmann::json edit = binding_edit(host, port, count);
        forget();
        const auto start = Clock::now();
        const std::size_t rows = co_await status_.write(std::move(edit));
        if (rows != 1) { fault("a MAC is in " + std::to_string(rows) + " rows of bindings"); }
        std::function<bool()> is_done = [this, &concerned] { return all_told(concerned); };
        if (!co_await until(is_done, kChangeSeconds)) { fault("a change of a binding is lost"); }
        told.push_back(last_told_ms(concerned, start));
        count_strangers({}, concerned);
    }
    report_["binding_change_ms"] = spread(std::move(told));
}

boost::asio::awaitable<nlohmann::json> Harness::run() {
    config_.start();
    status_.start();
    nlohmann::json nothing = nlohmann::json::array();
    co_await config_.write(nothing);  // Once it is connected.
    co_await status_.write(std::move(nothing));
    const std::size_t before = resident_bytes();
    make_agents();
    for (One& one : all_) {
        one.agent->load();
        one.agent->start();
    }
    co_await settle(kSyncSeconds);
    report_["agent_bytes"] = (resident_bytes() - before) / all_.size();
    co_await change_ports();
    co_await move_bindings();
    report_["agent_bytes_after"] = (resident_bytes() - before) / all_.size();
    for (One& one : all_) { one.agent->stop(); }
    config_.stop();
    status_.stop();
    report_["strangers_touched"] = strangers_;
    report_["agents"] = all_.size();
    report_["ports"] = setting_.shape.ports;
    report_["hosts"] = setting_.shape.hosts;
    report_["networks"] = setting_.shape.networks;
    report_["faults"] = faults_;
    co_return report_;
}

}  // namespace

boost::asio::awaitable<nlohmann::json> measure(boost::asio::io_context& io, Setting setting) {
    Harness harness(io, std::move(setting));
    co_return co_await harness.run();
}

}  // namespace sluice::scale
