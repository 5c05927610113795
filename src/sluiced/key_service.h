// SPDX-License-Identifier: Apache-2.0
// KeyService: the keys of slot 15 on this host. Reads group keys (helper thread), derives from them
// what KeyTable says is wanted now, and gives that to the dataplane; hears what workers lack; takes
// a generation, durably, before anything is sealed under it. Control thread, except where said.
// docs/adr/0040-esp-inside-vxlan.md, docs/adr/0045-generations-and-group-keys.md.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "admin/server.h"
#include "controller-agent/keys/generations.h"
#include "controller-agent/keys/group_key.h"
#include "datapath/dataplane.h"
#include "sluice/model/document.h"
#include "src/sluiced/config_service.h"
#include "src/sluiced/key_table.h"

namespace sluice::daemon {

class KeyService {
public:
    /// Before `config` loads.
    /// @param refuses  keys that can't be read refuse the document that names them; else the host
    /// runs it without them, and drops what they would seal
    KeyService(boost::asio::io_context& io, datapath::Dataplane& dataplane, ConfigService& config,
               std::string state_dir, bool refuses);

    /// What of the document that was loaded can be read is read; what can't is said in the log, and
    /// is sealed and opened no sooner than it can. After load().
    void start();
    /// No more timers; then join(), when the control loop has ended.
    void stop();
    void join() { helper_.join(); }

    /// `show encryption`.
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> encryption();
    /// `key show`: names and fingerprints, never a key.
    [[nodiscard]] Result<nlohmann::json> keys(const std::string& policy) const;
    /// Reads key files and the host's key pair again. {"policies"}
    [[nodiscard]] boost::asio::awaitable<Result<nlohmann::json>> reload();
    /// Public key of this host; empty: it has none.
    [[nodiscard]] const std::string& public_key() const noexcept { return loaded_.public_key; }

    /// What all associations of a policy did since the daemon started.
    struct Totals {
        std::string policy;
        std::uint64_t sealed_packets = 0, sealed_bytes = 0;
        std::uint64_t opened_packets = 0, opened_bytes = 0;
        std::uint64_t replayed = 0, bad_tags = 0;
        bool has_key = false;  ///< Of the running epoch.
    };
    [[nodiscard]] std::vector<Totals> totals() const;
    /// Packets that a rule would have had sealed, and that stayed on the host.
    [[nodiscard]] std::uint64_t unsealed_local() const;

private:
    struct Policy {
        model::KeyPolicy what;
        keys::GroupKeys keys;
        std::string why;  // Why there is none.
    };
    struct Loaded {
        std::map<std::uint8_t, Policy> policies;  // By number.
        std::string public_key;
    };
    using PolicyTotals = std::map<std::uint8_t, Totals>;
    using Figures = std::vector<datapath::SaFigures>;

    [[nodiscard]] static Result<Loaded> read(const model::Document& document,
                                             const std::string& state_dir, bool is_strict);
    [[nodiscard]] Status read_next(const model::Document& document);
    void begin();
    void use(Loaded loaded);
    [[nodiscard]] TableConfig table_config() const;
    [[nodiscard]] boost::asio::awaitable<void> run();
    void hear(std::uint64_t now_s);
    [[nodiscard]] boost::asio::awaitable<void> carry_out(KeyPlan plan);
    void make_receiving(const KeyPlan& plan);
    void make_sending(const KeyPlan& plan);
    [[nodiscard]] bool fill(datapath::SaParameters& out, std::uint32_t spi, std::uint64_t epoch,
                            const IpAddr& sender) const;
    void note_failure(const Status& status);
    static void tell(const Error& error, std::string& last);
    [[nodiscard]] boost::asio::awaitable<void> take_generation();
    void keep_totals(const KeyPlan& plan);
    static void add(PolicyTotals& totals, const datapath::SaFigures& row);
    [[nodiscard]] nlohmann::json policy_json(std::uint8_t id, const Policy& policy,
                                             const Figures& figures) const;
    [[nodiscard]] nlohmann::json sending_json(const datapath::SaFigures& row) const;
    [[nodiscard]] nlohmann::json receiving_json(const datapath::SaFigures& row) const;
    [[nodiscard]] nlohmann::json keys_json(std::uint8_t id, const Policy& policy) const;

    boost::asio::steady_timer timer_;
    datapath::Dataplane& dataplane_;
    ConfigService& config_;
    const std::string state_dir_;
    const bool refuses_;
    keys::Generations generations_;
    boost::asio::thread_pool helper_{1};
    KeyTable table_;
    Loaded loaded_;
    std::optional<Loaded> next_;  // Of the document that may begin to run.
    std::uint64_t retry_s_ = 0;   // When to ask for a generation again; 0: not at all.
    std::string fault_;           // The last association that could not be made.
    std::string generation_fault_;
    PolicyTotals gone_;  // Of associations that are gone.
    bool is_stopped_ = false;
};

/// `show encryption`, `key show` and `key reload`.
void add_key_methods(admin::AdminServer& server, KeyService& keys);

}  // namespace sluice::daemon
