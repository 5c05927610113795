// SPDX-License-Identifier: Apache-2.0
// ConfigService: see config_service.h.
#include "src/sluiced/config_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>

#include "controller-agent/document_json.h"
#include "controller-agent/on_helper.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using agent::on_helper;
using nlohmann::json;

// Takes the edit back when it goes, unless it is told that the edit stays.
struct TakeBack {
    explicit TakeBack(std::shared_ptr<json> edited) : document(std::move(edited)) {}
    TakeBack(const TakeBack&) = delete;
    TakeBack& operator=(const TakeBack&) = delete;
    ~TakeBack() {
        if (undo) { agent::take_back(*document, std::move(*undo)); }
    }
    std::shared_ptr<json> document;
    std::optional<agent::EditUndo> undo;
};

bool is_list_of_objects(const json& value) {
    return value.is_array() && std::all_of(value.begin(), value.end(),
                                           [](const json& item) { return item.is_object(); });
}

json::const_iterator find_name(const json& list, const std::string& name) {
    return std::find_if(list.begin(), list.end(), [&](const json& item) {
        const auto at = item.find("name");
        return at != item.end() && *at == name;
    });
}

bool has_name(const json& list, const std::string& name) {
    return find_name(list, name) != list.end();
}

// All that a document may say of a port of the host's own file: where it goes, if the file leaves
// that open.
bool is_placement(const json& item, const json& own) {
    return item.size() == 2 && item.contains("port_group") && !own.contains("port_group");
}

Error redefined(const std::string& kind, const std::string& name) {
    const std::string object = kind + " " + name;
    return Error{
        Errc::kExists,
        object + ": is defined by the host's own configuration file, apply can't redefine it",
        object};
}

// True if a switch of the document has the uplink of a VTEP.
bool has_switch(const json& document, const json& vtep) {
    const json uplinks = document.value("uplinks", json::array());
    std::string uplink = vtep.value("uplink", "");
    if (uplink.empty() && uplinks.size() == 1) { uplink = uplinks[0].value("name", ""); }
    const json switches = document.value("switches", json::array());
    return switches.is_array() &&
           std::any_of(switches.begin(), switches.end(), [&](const json& on) {
               const json names =
                   on.is_object() ? on.value("uplinks", json::array()) : json::array();
               return std::find(names.begin(), names.end(), json(uplink)) != names.end();
           });
}

// Takes objects out of `items` that `own`, a list of the host's file, has.
template <typename T>
void erase_own(std::vector<T>& items, const json& own) {
    std::erase_if(items, [&](const T& item) { return has_name(own, item.name); });
}

// The domain of frames with that tag; 0 = none.
DomainId domain_of(const datapath::Snapshot& snapshot, const datapath::PortVlan& vlan,
                   std::size_t vid) {
    const std::uint16_t index = vlan.is_trunk ? (*vlan.tagged_domains)[vid] : vlan.untagged_domain;
    return index == datapath::kNoDomain ? DomainId{} : snapshot.domains[index].id;
}

bool has_moved(const datapath::Snapshot& from, const datapath::Snapshot& to, PortIndex index) {
    const datapath::PortConfig* old = from.port(index);
    const datapath::PortConfig* now = to.port(index);
    if (old == nullptr || now == nullptr) { return false; }
    if (old->vlan.is_trunk != now->vlan.is_trunk) { return true; }
    const std::size_t count = now->vlan.is_trunk ? now->vlan.tagged_domains->size() : 1;
    for (std::size_t vid = 0; vid < count; ++vid) {
        if (domain_of(from, old->vlan, vid) != domain_of(to, now->vlan, vid)) { return true; }
    }
    return false;
}

bool has_same_devices(const datapath::Snapshot& from, const datapath::Snapshot& to) {
    return std::equal(from.ports.begin(), from.ports.end(), to.ports.begin(), to.ports.end(),
                      [](const auto& a, const auto& b) {
                          return a.has_value() == b.has_value() && (!a || a->device == b->device);
                      });
}

// Remote VTEPs that the document names no more, by index; empty if there are none.
std::vector<bool> gone_remotes(const datapath::Snapshot& from, const datapath::Snapshot& to) {
    std::vector<bool> gone;
    for (std::size_t i = 1; i < from.remotes.size(); ++i) {
        const IpAddr& ip = from.remotes[i].ip;
        if (ip == IpAddr{} || (i < to.remotes.size() && to.remotes[i].ip == ip)) { continue; }
        gone.resize(from.remotes.size());
        gone[i] = true;
    }
    return gone;
}

// Ports that have bindings in another place than they will be in.
LearnedFilter moved_bindings(const datapath::Snapshot& from, const datapath::Snapshot& to,
                             const LearnedTable& learned) {
    LearnedFilter filter;
    filter.kind = LearnedKind::kBinding;
    filter.all_ports = false;
    for (std::uint16_t i = 0; i < to.ports.size(); ++i) {
        const bool has_any = learned.count(PortIndex{i}, LearnedKind::kBinding) > 0;
        if (has_any && has_moved(from, to, PortIndex{i})) { filter.ports.set(i); }
    }
    return filter;
}

}  // namespace

ConfigService::ConfigService(datapath::Dataplane& dataplane, VhostDevices& devices,
                             KernelPorts& kernel_ports, Uplinks& uplinks, agent::LocalStore& store)
    : dataplane_(dataplane),
      devices_(devices),
      kernel_ports_(kernel_ports),
      uplinks_(uplinks),
      store_(store),
      own_(json::object()),
      applied_(std::make_shared<json>(json::object())) {}

// A namespace that went under a running port must not hold up other changes.
std::set<std::string> ConfigService::running_netns() const {
    std::set<std::string> names;
    for (const model::Port& port : running_->ports) {
        if (!port.netns.empty()) { names.insert(port.netns); }
    }
    return names;
}

// An empty object, as the package's sample has it, claims nothing.
bool ConfigService::owns_host() const { return own_.contains("host") && !own_["host"].empty(); }

Result<model::Document> ConfigService::read(const json& document,
                                            const std::set<std::string>* known_netns) const {
    agent::CheckOptions options;
    if (known_netns != nullptr) {
        options.folder_exists = agent::folder_on_disk;
        options.netns_exists = [known_netns](const std::string& name) {
            return known_netns->contains(name) || agent::netns_on_disk(name);
        };
    }
    if (own_.empty()) { return agent::read_document(document, options); }
    Result<json> whole = with_own_objects(document);
    if (!whole) { return whole.error(); }
    return agent::read_document(whole.value(), options);
}

// The host's own objects join the document; its ports only once their port group exists, or the
// document places them, its VTEPs once a switch has their uplink.
Result<json> ConfigService::with_own_objects(json document) const {
    if (!document.is_object() || own_.empty()) { return document; }
    if (owns_host()) {
        if (document.contains("host") && document["host"] != own_["host"]) {
            return Error{
                Errc::kExists,
                "host: is defined by the host's own configuration file, apply can't change it",
                "host"};
        }
        document["host"] = own_["host"];
    }
    for (const char* key : {"uplinks", "vteps", "ports"}) {  // The reader says what is wrong.
        if (document.contains(key) && !document[key].is_array()) { return document; }
    }
    for (const auto& [key, kind] : {std::pair{"uplinks", "uplink"}, {"vteps", "vtep"}}) {
        for (const json& item : own_.value(key, json::array())) {
            const std::string name = item.value("name", "");
            if (document.contains(key) && has_name(document[key], name)) {
                return redefined(kind, name);
            }
            const bool is_placed = key != std::string_view("vteps") || has_switch(document, item);
            if (is_placed) { document[key].push_back(item); }
        }
    }
    for (const json& port : own_.value("ports", json::array())) {
        const std::string name = port.value("name", "");
        json& ports = document["ports"];
        if (ports.is_null()) { ports = json::array(); }
        if (const auto item = find_name(ports, name); item != ports.end()) {
            if (!is_placement(*item, port)) { return redefined("port", name); }
            json placed = port;
            placed["port_group"] = (*item)["port_group"];
            ports.erase(item);
            ports.push_back(std::move(placed));
            continue;
        }
        if (document.contains("port_groups") && document["port_groups"].is_array() &&
            has_name(document["port_groups"], port.value("port_group", ""))) {
            ports.push_back(port);
        }
    }
    return document;
}

Result<host::Compiled> ConfigService::compile(const model::Document& document) {
    const datapath::Snapshot& before = before_ ? *before_ : dataplane_.snapshot();
    Result<host::Compiled> compiled = host::compile(
        document, before, dataplane_.worker_count(), registries_,
        [this](const model::Port& port) { return device_of(port); },
        [this](const std::string& uplink) { return uplinks_.device(uplink); }, modules_);
    if (compiled) { write_names(&before, compiled.value().snapshot.get()); }
    return compiled;
}

void ConfigService::keep_names(host::NameLog& names) {
    names_ = &names;
    before_ = std::make_unique<datapath::Snapshot>();
    names.restore(registries_, *before_);
}

// Before what uses them is published. A log that fails is told once: it stays closed then.
void ConfigService::write_names(const datapath::Snapshot* before, const datapath::Snapshot* next) {
    if (names_ == nullptr) { return; }
    const Status written =
        next != nullptr ? names_->write(registries_, *before, *next) : names_->write(registries_);
    if (!written) {
        spdlog::warn("{}; connections will not survive the next restart", written.error().message);
    }
}

Result<std::shared_ptr<datapath::Port>> ConfigService::device_of(const model::Port& port) const {
    if (port.kind != model::PortKind::kKernel) { return devices_.device(port); }
    if (std::shared_ptr<datapath::Port> device = kernel_ports_.device(port.name)) { return device; }
    return Error{Errc::kState, "port " + port.name + ": has no device", "port " + port.name};
}

asio::awaitable<Status> ConfigService::prepare_devices(const model::Document& next) {
    std::function<Status()> make = [&] { return devices_.prepare(next); };
    Status made = co_await on_helper(helper_, std::move(make));
    if (made) { made = co_await kernel_ports_.prepare(next); }
    if (made) { made = co_await uplinks_.prepare(next); }
    if (!made) { discard_devices(); }
    co_return std::move(made);
}

void ConfigService::discard_devices() {
    devices_.discard();
    kernel_ports_.discard();
    uplinks_.discard();
}

Status ConfigService::load(const std::string& config_path) {
    if (std::ifstream file(config_path); file) {
        own_ = json::parse(file, nullptr, false);
        if (!own_.is_object()) {
            return Error{Errc::kInvalid, config_path + ": is not a JSON object", ""};
        }
        for (const auto& [key, value] : own_.items()) {
            if (key != "host" && key != "ports" && key != "uplinks" && key != "vteps") {
                return Error{
                    Errc::kInvalid,
                    config_path + ": \"" + key + "\" is not one of host, uplinks, vteps, ports",
                    key};
            }
            if (key != "host" && !is_list_of_objects(value)) {
                return Error{Errc::kInvalid, config_path + ": " + key + " is not a list of objects",
                             key};
            }
        }
    }
    Result<agent::Stored> stored = store_.load();
    if (!stored) { return stored.error(); }
    if (!stored.value().warning.empty()) { spdlog::warn("{}", stored.value().warning); }
    generation_ = stored.value().generation;
    if (!stored.value().document.empty()) { *applied_ = json::parse(stored.value().document); }
    Result<model::Document> document = read(*applied_, nullptr);
    if (!document) { return document.error(); }
    if (Status made = devices_.prepare(document.value()); !made) { return made; }
    kernel_ports_.prepare_later(document.value());
    uplinks_.prepare_later(document.value());
    Result<host::Compiled> compiled = compile(document.value());
    if (!compiled) { return compiled.error(); }
    rule_times_ = times_of(compiled.value().rules);
    const std::set<RuleId> rules = compiled.value().rules;
    static_cast<void>(start_running(std::move(compiled).value(), std::move(document).value()));
    if (before_) { forget_gone_before(*std::exchange(before_, nullptr), rules); }
    return Ok{};  // Nobody to wait for: workers are not there yet.
}

std::uint64_t ConfigService::start_running(host::Compiled compiled, model::Document next) {
    moved_ = moved_bindings(dataplane_.snapshot(), *compiled.snapshot, dataplane_.learned());
    gone_remotes_ = gone_remotes(dataplane_.snapshot(), *compiled.snapshot);
    keeps_devices_ = has_same_devices(dataplane_.snapshot(), *compiled.snapshot);
    const std::uint64_t token = dataplane_.publish(std::move(compiled.snapshot));
    if (on_published_) { on_published_(); }
    devices_.commit(next);
    if (on_logged_rules_) { on_logged_rules_(std::move(compiled.logged)); }
    kernel_ports_.commit(next);
    auto old = std::exchange(running_, std::make_shared<const model::Document>(std::move(next)));
    uplinks_.commit();
    asio::post(writer_, [old = std::move(old)] {});
    if (begin_keys_) { begin_keys_(); }
    return token;
}

// Rules that are new get the present time. On the helper, while nobody changes rule_times_.
std::shared_ptr<const ConfigService::RuleTimes> ConfigService::times_of(
    const std::set<RuleId>& rules) const {
    const bool is_same =
        std::equal(rules.begin(), rules.end(), rule_times_->begin(), rule_times_->end(),
                   [](RuleId a, const auto& b) { return a == b.first; });
    if (is_same) { return rule_times_; }
    const std::int64_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    auto times = std::make_shared<RuleTimes>();
    auto old = rule_times_->begin();
    for (const RuleId rule : rules) {
        while (old != rule_times_->end() && old->first < rule) { ++old; }
        const bool is_old = old != rule_times_->end() && old->first == rule;
        times->emplace_hint(times->end(), rule, is_old ? old->second : now);
    }
    return times;
}

asio::awaitable<Result<json>> ConfigService::apply(json document, bool dry_run) {
    const std::set<std::string> known = running_netns();
    std::function<Result<model::Document>()> check = [&] { return read(document, &known); };
    Result<model::Document> next = co_await on_helper(helper_, std::move(check));
    if (!next) { co_return next.error(); }
    if (dry_run) {
        const std::size_t changed = agent::diff(next.value(), *running_).size();
        co_return json{{"changed", changed}, {"generation", generation_}};
    }
    std::function<std::string()> text = [&] { return document.dump(); };
    Result<json> done = co_await change_to(std::move(next).value(), std::move(text));
    if (done && done.value()["changed"] != 0) { *applied_ = std::move(document); }
    co_return done;
}

asio::awaitable<Result<json>> ConfigService::change_to(model::Document next,
                                                       std::function<std::string()> text) {
    std::function<std::size_t()> compare = [&] { return agent::diff(next, *running_).size(); };
    const std::size_t changed = co_await on_helper(helper_, std::move(compare));
    if (changed == 0) { co_return json{{"changed", 0}, {"generation", generation_}}; }
    std::function<Status()> read_keys = [&] { return read_keys_ ? read_keys_(next) : Ok{}; };
    const Status has_keys = co_await on_helper(helper_, std::move(read_keys));
    if (!has_keys) { co_return has_keys.error(); }
    const Status prepared = co_await prepare_devices(next);
    if (!prepared) { co_return prepared.error(); }
    Result<host::Compiled> compiled = co_await compile_and_store(next, std::move(text));
    if (!compiled) {
        discard_devices();
        co_return compiled.error();
    }
    ++generation_;
    std::set<RuleId> rules = std::move(compiled.value().rules);
    const std::uint64_t token = start_running(std::move(compiled).value(), std::move(next));
    co_await forget_removed(token, std::move(rules));
    co_return json{{"changed", changed}, {"generation", generation_}};
}

// The text is written while the snapshot is compiled, and made the stored document once that is
// done: what can't run is never stored, what runs is on disk before anybody is told.
asio::awaitable<Result<host::Compiled>> ConfigService::compile_and_store(
    const model::Document& next, std::function<std::string()> text) {
    auto prepared = std::make_shared<Status>(Ok{});
    asio::post(writer_, [this, prepared, text = std::move(text)] {
        *prepared = store_.prepare(generation_ + 1, text());
    });
    std::shared_ptr<const RuleTimes> times;
    std::function<Result<host::Compiled>()> build = [&] {
        Result<host::Compiled> made = compile(next);
        if (made) { times = times_of(made.value().rules); }
        return made;
    };
    Result<host::Compiled> compiled = co_await on_helper(helper_, std::move(build));
    const bool is_compiled = compiled.ok();
    std::function<Status()> finish = [this, prepared, is_compiled]() -> Status {
        if (prepared->ok() && is_compiled) { return store_.commit(); }
        if (prepared->ok()) { store_.discard(); }
        return *prepared;
    };
    const Status stored = co_await on_helper(writer_, std::move(finish));  // Behind the text.
    if (compiled && !stored) { co_return stored.error(); }
    if (compiled) { rule_times_ = std::move(times); }
    co_return compiled;
}

bool ConfigService::is_own(const agent::Edit& edit) const {
    if (edit.kind == "host") { return owns_host(); }
    const std::string key = agent::list_key(edit.kind);
    return own_.contains(key) && own_[key].is_array() && has_name(own_[key], edit.name);
}

asio::awaitable<Result<json>> ConfigService::edit(json params) {
    Result<agent::Edit> edit = agent::read_edit(params);
    if (!edit) { co_return edit.error(); }
    const std::string whom = agent::subject_of(edit.value());
    if (is_own(edit.value())) {
        co_return Error{
            Errc::kExists,
            whom + ": is defined by the host's own configuration file, edits can't change it",
            whom};
    }
    co_return co_await change_edited(edit.value());
}

// The applied document is edited in place, so that nothing of its size is copied, and taken back
// unless the result runs. Changes come one at a time: nobody else looks at it meanwhile.
asio::awaitable<Result<json>> ConfigService::change_edited(const agent::Edit& edit) {
    TakeBack taken(applied_);
    const std::set<std::string> known = running_netns();
    std::function<Result<model::Document>()> check = [&]() -> Result<model::Document> {
        Result<agent::EditUndo> made = agent::make_edit(*applied_, edit);
        if (!made) { return made.error(); }
        taken.undo = std::move(made).value();
        auto short_way = agent::read_edited_rule(*running_, *applied_, edit, *taken.undo);
        if (short_way) { return std::move(*short_way); }
        return read(*applied_, &known);
    };
    Result<model::Document> next = co_await on_helper(helper_, std::move(check));
    if (!next) { co_return next.error(); }
    std::function<std::string()> text = [&] { return applied_->dump(); };
    Result<json> done = co_await change_to(std::move(next).value(), std::move(text));
    if (done) { taken.undo.reset(); }
    co_return done;
}

// A vNIC in another VLAN claims its addresses anew; the old ones would count against its limit.
asio::awaitable<void> ConfigService::forget_moved() {
    if (moved_.ports.none()) { co_return; }
    datapath::FlushLearned flush(moved_);
    co_await run_on_worker(dataplane_, 0, flush);
}

// Their indices are used again.
asio::awaitable<void> ConfigService::forget_remotes() {
    if (gone_remotes_.empty()) { co_return; }
    datapath::ForgetRemotes forget(std::exchange(gone_remotes_, {}));
    co_await run_on_worker(dataplane_, 0, forget);
}

// What frames taught of ports that are gone, and of MACs behind ports that learn no more.
asio::awaitable<void> ConfigService::forget_learned(std::vector<std::string> gone) {
    LearnedFilter of_gone;
    of_gone.all_ports = false;
    for (const std::string& name : gone) { of_gone.ports.set(registries_.ports.find(name).value); }
    LearnedFilter macs;
    macs.kind = LearnedKind::kMac;
    macs.all_ports = false;
    const auto& ports = dataplane_.snapshot().ports;
    for (std::uint16_t i = 0; i < ports.size(); ++i) {
        const bool has_macs = dataplane_.learned().count(PortIndex{i}, LearnedKind::kMac) > 0;
        if (ports[i] && !ports[i]->learning.is_on() && has_macs) { macs.ports.set(i); }
    }
    const std::array filters{of_gone, macs};
    for (const LearnedFilter& filter : filters) {
        if (filter.ports.none() || dataplane_.learned().size() == 0) { continue; }
        datapath::FlushLearned flush(filter);
        co_await run_on_worker(dataplane_, 0, flush);
    }
}

// Returns when every worker has passed on. Connections of removed vNICs end, and what was learned
// of them is forgotten, before their index can be used again.
asio::awaitable<void> ConfigService::forget_removed(std::uint64_t token, std::set<RuleId> rules) {
    co_await wait_until([&] { return dataplane_.is_settled(token); });
    datapath::Dataplane::Snapshots doomed = dataplane_.take_reclaimable();
    if (keeps_devices_) {  // Nobody waits for memory to be free.
        asio::post(writer_, [doomed = std::make_shared<datapath::Dataplane::Snapshots>(
                                 std::move(doomed))] { doomed->clear(); });
    } else {
        co_await free_on_helper(std::move(doomed));
    }
    co_await forget_moved();
    co_await forget_remotes();
    co_await kernel_ports_.finish_removal();
    co_await uplinks_.finish_removal();
    const std::vector<std::string> gone = gone_ports();
    co_await forget_learned(gone);
    std::vector<std::unique_ptr<datapath::FlushConnections>> flushes;
    for (const std::string& name : gone) {  // All at once: the worker is woken once, not 200 times.
        flushes.push_back(
            std::make_unique<datapath::FlushConnections>(registries_.ports.find(name)));
        co_await wait_until([&] { return dataplane_.submit(0, *flushes.back()); });
    }
    for (const auto& flush : flushes) {
        co_await wait_until([&] { return flush->is_finished(); });
    }
    for (const std::string& name : gone) { registries_.ports.release(name); }
    registries_.rules.keep_only(rules);
    write_names(nullptr, nullptr);
}

std::vector<std::string> ConfigService::gone_ports() const {
    std::set<std::string> kept;
    for (const model::Switch& each : running_->switches) {
        kept.insert(each.uplinks.begin(), each.uplinks.end());
    }
    for (const model::Vtep& vtep : running_->vteps) { kept.insert(vtep.name); }
    for (const model::Port& port : running_->ports) { kept.insert(port.name); }
    std::vector<std::string> gone;
    for (const auto& [name, index] : registries_.ports.names()) {
        if (!kept.contains(name)) { gone.push_back(name); }
    }
    return gone;
}

void ConfigService::forget_gone_before(const datapath::Snapshot& before,
                                       const std::set<RuleId>& rules) {
    for (const std::string& name : gone_ports()) {
        const PortIndex index = registries_.ports.find(name);
        std::uint32_t at = 0;
        dataplane_.connections().flush(0, index, at, dataplane_.connections().capacity());
        at = 0;
        dataplane_.learned().flush(LearnedFilter::of_port(index), at,
                                   dataplane_.learned().capacity());
        registries_.ports.release(name);
    }
    registries_.rules.keep_only(rules);
    for (const std::uint32_t slot : registries_.rules.take_freed_slots()) {
        RuleCounters& figures = dataplane_.worker(0).context().rules[slot];
        for (Counter* each : {&figures.hits, &figures.packets, &figures.bytes}) { each->reset(); }
    }
    if (std::vector<bool> gone = gone_remotes(before, dataplane_.snapshot()); !gone.empty()) {
        datapath::ForgetRemotes forget(std::move(gone));
        while (!forget.step(dataplane_.worker(0).context())) {}
    }
    write_names(nullptr, nullptr);
}

// A snapshot has a few objects a port and a rule, and the last one that holds a device unregisters
// it: milliseconds that the control loop has not got.
asio::awaitable<void> ConfigService::free_on_helper(datapath::Dataplane::Snapshots doomed) {
    std::function<std::size_t()> free = [&] {
        const std::size_t count = doomed.size();
        doomed.clear();
        return count;
    };
    co_await on_helper(helper_, std::move(free));
}

Result<json> ConfigService::diff(const json& document) const {
    Result<model::Document> next = read(document, nullptr);
    if (!next) { return next.error(); }
    return json(agent::to_json_value(agent::diff(next.value(), *running_)));
}

nlohmann::ordered_json ConfigService::export_json() const {
    model::Document document = *running_;
    nlohmann::ordered_json placed = nlohmann::ordered_json::array();
    for (const model::Port& port : document.ports) {
        const auto own = own_.find("ports");
        if (own == own_.end()) { break; }
        const auto item = find_name(*own, port.name);
        if (item == own->end() || item->contains("port_group")) { continue; }
        placed.push_back({{"name", port.name}, {"port_group", port.port_group}});
    }
    erase_own(document.ports, own_.value("ports", json::array()));
    erase_own(document.uplinks, own_.value("uplinks", json::array()));
    erase_own(document.vteps, own_.value("vteps", json::array()));
    nlohmann::ordered_json out = agent::document_to_json(document);
    for (auto& port : placed) { out["ports"].push_back(std::move(port)); }
    return out;
}

asio::awaitable<Result<json>> ConfigService::rollback() {
    std::function<Result<agent::Stored>()> read_previous = [&] { return store_.load_previous(); };
    Result<agent::Stored> previous = co_await on_helper(helper_, std::move(read_previous));
    if (!previous) { co_return previous.error(); }
    json document =
        previous.value().document.empty() ? json::object() : json::parse(previous.value().document);
    co_return co_await apply(std::move(document), false);
}

}  // namespace sluice::daemon
