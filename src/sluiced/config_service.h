// SPDX-License-Identifier: Apache-2.0
// ConfigService: the running document: apply, diff, export, rollback. A change is checked whole,
// its devices made, compiled on the helper thread, written to disk, and only then published; what
// fails before leaves everything as it was. Control thread; the admin server runs changes one at a
// time.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/diff.h"
#include "controller-agent/edit.h"
#include "controller-agent/local_store.h"
#include "datapath/dataplane.h"
#include "src/host/compile.h"
#include "src/host/name_log.h"
#include "src/sluiced/kernel_ports.h"
#include "src/sluiced/uplinks.h"
#include "src/sluiced/vhost_devices.h"

namespace sluice::daemon {

class ConfigService {
public:
    ConfigService(datapath::Dataplane& dataplane, VhostDevices& devices, KernelPorts& kernel_ports,
                  Uplinks& uplinks, agent::LocalStore& store);

    /// `tell` is given the rules with `log` of each document that begins to run. Before load().
    void on_logged_rules(std::function<void(host::LoggedRules)> tell) {
        on_logged_rules_ = std::move(tell);
    }

    /// Numbers of the process before are given to the same names, and new ones are kept for the
    /// next. Before load(); `names` stays.
    void keep_names(host::NameLog& names);

    /// Where in-process services come from. Before load().
    void load_modules_from(host::ModuleSource modules) { modules_ = std::move(modules); }

    /// `tell` is called after each snapshot was published, on the control thread.
    void on_published(std::function<void()> tell) { on_published_ = std::move(tell); }

    /// `read` reads the keys that a document names, on the helper thread, before it is put in
    /// force: what it refuses is not applied. `begin` is called when that document runs.
    void on_keys(std::function<Status(const model::Document&)> read, std::function<void()> begin) {
        read_keys_ = std::move(read);
        begin_keys_ = std::move(begin);
    }

    /// Reads the host's own file (--config; may be missing) and the stored document, and makes them
    /// run. Before workers start.
    [[nodiscard]] Status load(const std::string& config_path);

    /// `document` as JSON. {"changed","generation"}
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> apply(nlohmann::json document,
                                                                       bool dry_run);
    /// One object of the running document: `{op, kind, name, object | patch | members, position}`
    /// of controller-agent/edit.h. Checked, stored and put in force like a whole document.
    /// {"changed","generation"}
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> edit(nlohmann::json params);
    [[nodiscard]] Result<nlohmann::json> diff(const nlohmann::json& document) const;
    [[nodiscard]] nlohmann::ordered_json export_json() const;
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> rollback();
    /// After the control loop has ended: waits until the helper thread is done with what runs.
    void stop() {
        helper_.join();
        writer_.join();
    }

    [[nodiscard]] const model::Document& document() const noexcept { return *running_; }
    /// For threads that take their time with it.
    [[nodiscard]] std::shared_ptr<const model::Document> shared_document() const {
        return running_;
    }
    /// When rules came to be, in seconds of the system's clock: those of the stored document with
    /// the daemon.
    using RuleTimes = std::map<RuleId, std::int64_t>;
    [[nodiscard]] std::shared_ptr<const RuleTimes> rule_times() const { return rule_times_; }
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
    /// True if the host's own file names the host.
    [[nodiscard]] bool owns_host() const;
    /// That file: an object, empty if there is none.
    [[nodiscard]] const nlohmann::json& own_objects() const noexcept { return own_; }
    [[nodiscard]] const host::Registries& registries() const noexcept { return registries_; }

private:
    /// @param known_netns  namespaces of running ports, which need not be there any more; nullptr:
    /// neither namespaces nor folders are looked for. Any thread: `running_` is not read.
    [[nodiscard]] Result<model::Document> read(const nlohmann::json& document,
                                               const std::set<std::string>* known_netns) const;
    [[nodiscard]] std::set<std::string> running_netns() const;
    [[nodiscard]] Result<nlohmann::json> with_own_objects(nlohmann::json document) const;
    /// Compiles and stores `next`, whose text is `text()`, and makes it run. What fails changes
    /// nothing.
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> change_to(
        model::Document next, std::function<std::string()> text);
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> change_edited(
        const agent::Edit& edit);
    [[nodiscard]] bool is_own(const agent::Edit& edit) const;
    [[nodiscard]] Result<host::Compiled> compile(const model::Document& document);
    /// Makes the devices that `next` needs: all of them, or none.
    [[nodiscard]] boost::asio::awaitable<Status> prepare_devices(const model::Document& next);
    void discard_devices();
    [[nodiscard]] Result<std::shared_ptr<datapath::Port>> device_of(const model::Port& port) const;
    /// Publishes; returns the token that says when every worker has passed on.
    [[nodiscard]] std::uint64_t start_running(host::Compiled compiled, model::Document next);
    [[nodiscard]] boost::asio::awaitable<void> forget_moved();
    [[nodiscard]] boost::asio::awaitable<void> forget_remotes();
    [[nodiscard]] boost::asio::awaitable<void> forget_learned(std::vector<std::string> gone);
    [[nodiscard]] boost::asio::awaitable<void> forget_removed(std::uint64_t token,
                                                              std::set<RuleId> rules);
    /// Ports that have a number and are in no document any more.
    [[nodiscard]] std::vector<std::string> gone_ports() const;
    /// Before workers start: what the arena has of ports, rules and VTEPs that are gone.
    void forget_gone_before(const datapath::Snapshot& before, const std::set<RuleId>& rules);
    void write_names(const datapath::Snapshot* before, const datapath::Snapshot* next);
    [[nodiscard]] boost::asio::awaitable<void> free_on_helper(
        datapath::Dataplane::Snapshots doomed);
    [[nodiscard]] boost::asio::awaitable<Result<host::Compiled>> compile_and_store(
        const model::Document& next, std::function<std::string()> text);
    [[nodiscard]] std::shared_ptr<const RuleTimes> times_of(const std::set<RuleId>& rules) const;

    datapath::Dataplane& dataplane_;
    VhostDevices& devices_;
    KernelPorts& kernel_ports_;
    Uplinks& uplinks_;
    agent::LocalStore& store_;
    boost::asio::thread_pool helper_{1};  // Reads and compiles.
    boost::asio::thread_pool writer_{1};  // Writes files, frees what is large.
    host::Registries registries_;
    host::NameLog* names_ = nullptr;              // None: nothing outlives the process.
    std::unique_ptr<datapath::Snapshot> before_;  // Until load(): numbers of the process before.
    host::ModuleSource modules_;
    std::shared_ptr<const model::Document> running_ = std::make_shared<model::Document>();
    std::shared_ptr<const RuleTimes> rule_times_ = std::make_shared<RuleTimes>();
    bool keeps_devices_ = false;  // The newest snapshot has the devices of the one before.
    nlohmann::json own_;          // Objects of the host's own file.
    // What was applied, without them. Shared with an edit that a stop leaves unfinished.
    std::shared_ptr<nlohmann::json> applied_;
    std::uint64_t generation_ = 0;
    std::function<void(host::LoggedRules)> on_logged_rules_;
    std::function<void()> on_published_;
    std::function<Status(const model::Document&)> read_keys_;
    std::function<void()> begin_keys_;
    LearnedFilter moved_;             // Bindings that the newest document has made void.
    std::vector<bool> gone_remotes_;  // Remote VTEPs of the document before.
};

}  // namespace sluice::daemon
