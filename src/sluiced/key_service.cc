// SPDX-License-Identifier: Apache-2.0
// KeyService: see key_service.h. One coroutine makes and takes associations, so that a plan is
// carried out before the next one is made.
#include "src/sluiced/key_service.h"

#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "controller-agent/keys/derive.h"
#include "controller-agent/keys/sealed.h"
#include "controller-agent/on_helper.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using agent::on_helper;

constexpr std::chrono::milliseconds kLook{10};  // A sender that starts loses about so much.
constexpr std::chrono::hours kIdle{24};         // Without a key policy: until one comes.
constexpr std::size_t kEventsALook = 4096;
constexpr std::uint64_t kRetryS = 10;

std::uint64_t unix_s() {
    return static_cast<std::uint64_t>(
        std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()));
}

std::uint16_t random_number() {
    std::uint16_t number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number) { number = 0; }
    return number % keys::kGenerationCount;
}

// Tells a key, its algorithm and its epochs from others; never 0.
std::uint64_t revision_of(const model::KeyPolicy& policy, const keys::GroupKey& key) {
    const std::string text = key.fingerprint() + " " +
                             std::to_string(static_cast<unsigned>(policy.algorithm)) + " " +
                             std::to_string(policy.rotate_s);
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, 64 bits.
    for (const char c : text) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL; }
    return hash | 1U;
}

}  // namespace

KeyService::KeyService(asio::io_context& io, datapath::Dataplane& dataplane, ConfigService& config,
                       std::string state_dir, bool refuses)
    : timer_(io),
      dataplane_(dataplane),
      config_(config),
      state_dir_(std::move(state_dir)),
      refuses_(refuses),
      generations_(state_dir_) {
    config_.on_keys([this](const model::Document& document) { return read_next(document); },
                    [this] { begin(); });
}

void KeyService::start() {
    Result<Loaded> loaded = read(config_.document(), state_dir_, false);
    if (loaded) { use(std::move(loaded).value()); }
    auto task = run();
    asio::co_spawn(timer_.get_executor(), std::move(task), asio::detached);
}

void KeyService::stop() {
    is_stopped_ = true;
    timer_.cancel();
}

Result<KeyService::Loaded> KeyService::read(const model::Document& document,
                                            const std::string& state_dir, bool is_strict) {
    Loaded out;
    const Result<keys::HostKey> host = keys::HostKey::load(state_dir);
    if (host) { out.public_key = keys::to_string(host.value().public_key()); }
    if (!host && host.error().code != Errc::kNotFound) {
        if (is_strict && !document.encryption.key_policies.empty()) { return host.error(); }
        spdlog::error("{}", host.error().message);
    }
    for (const model::KeyPolicy& what : document.encryption.key_policies) {
        Policy policy;
        policy.what = what;
        auto loaded = keys::load_group_keys(what, host ? &host.value() : nullptr);
        if (!loaded && is_strict) { return loaded.error(); }
        policy.why = loaded ? loaded.value().why : loaded.error().message;
        if (loaded) { policy.keys = std::move(loaded.value().keys); }
        if (!policy.why.empty()) { spdlog::warn("key_policy {}: {}", what.name, policy.why); }
        out.policies.emplace(model::id_of(what), std::move(policy));
    }
    return out;
}

// helper thread of the configuration, which then runs begin() or asks again.
Status KeyService::read_next(const model::Document& document) {
    next_.reset();
    Result<Loaded> loaded = read(document, state_dir_, refuses_);
    if (!loaded) { return loaded.error(); }
    next_ = std::move(loaded).value();
    return Ok{};
}

void KeyService::begin() {
    if (!next_) { return; }
    use(std::move(*next_));
    next_.reset();
}

void KeyService::use(Loaded loaded) {
    loaded_ = std::move(loaded);
    table_.configure(table_config());
    timer_.cancel();
}

TableConfig KeyService::table_config() const {
    TableConfig out;
    for (const auto& [id, policy] : loaded_.policies) {
        TablePolicy& row = out.policies[id];
        row.rotate_s = policy.what.rotate_s;
        for (const keys::EpochKey& each : policy.keys.all()) {
            row.revisions.emplace_back(each.epoch, revision_of(policy.what, each.key));
        }
    }
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    for (const datapath::VtepConfig& vtep : snapshot.vteps) {
        const datapath::PortConfig* port = snapshot.port(vtep.port);
        const unsigned worker = port == nullptr ? 0 : port->worker;
        out.vteps.push_back({vtep.ip, static_cast<std::uint8_t>(worker)});
    }
    for (const datapath::RemoteVtep& remote : snapshot.remotes) {
        out.remotes.push_back(remote.ip);
    }
    return out;
}

asio::awaitable<void> KeyService::run() {
    while (!is_stopped_) {
        const std::uint64_t now_s = unix_s();
        hear(now_s);
        if (retry_s_ != 0 && now_s >= retry_s_) { co_await take_generation(); }
        if (table_.is_due(now_s)) {
            KeyPlan plan = table_.plan(now_s);
            const bool wants_generation = plan.wants_generation;
            auto work = carry_out(std::move(plan));
            co_await std::move(work);
            if (wants_generation && retry_s_ == 0) { co_await take_generation(); }
            continue;
        }
        const bool is_idle = loaded_.policies.empty();
        boost::system::error_code ignored;
        timer_.expires_after(is_idle ? std::chrono::milliseconds(kIdle) : kLook);
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

void KeyService::hear(std::uint64_t now_s) {
    datapath::SaEvent event;
    using Kind = datapath::SaEvent::Kind;
    for (std::size_t i = 0; i < kEventsALook && dataplane_.associations().poll(event); ++i) {
        switch (event.kind) {
            case Kind::kWanted: table_.note_wanted(event.remote, event.spi, now_s); break;
            case Kind::kUsed: table_.note_used(event.remote, event.spi, now_s); break;
            case Kind::kFilling: table_.note_filling(event.spi); break;
        }
    }
}

asio::awaitable<void> KeyService::carry_out(KeyPlan plan) {
    if (plan.is_empty()) { co_return; }
    datapath::SecurityAssociations& associations = dataplane_.associations();
    keep_totals(plan);
    for (const auto& [remote, spi] : plan.stop_receiving) {
        associations.stop_receiving(remote, spi);
    }
    for (const auto& [vtep, policy] : plan.stop_sending) {
        associations.stop_sending(vtep, policy);
    }
    make_receiving(plan);
    make_sending(plan);
    const std::uint64_t token = dataplane_.start_grace();
    co_await wait_until([&] { return is_stopped_ || dataplane_.is_settled(token); });
    if (!is_stopped_) { associations.reclaim(true); }
}

void KeyService::make_receiving(const KeyPlan& plan) {
    for (const KeyPlan::Receiving& one : plan.receive) {
        const auto& remotes = dataplane_.snapshot().remotes;
        datapath::SaParameters parameters;
        if (one.remote < remotes.size() &&
            fill(parameters, one.spi, one.epoch, remotes[one.remote].ip)) {
            note_failure(dataplane_.associations().receive_with(one.remote, parameters));
        }
        OPENSSL_cleanse(&parameters, sizeof parameters);
    }
}

void KeyService::make_sending(const KeyPlan& plan) {
    for (const KeyPlan::Sending& one : plan.send) {
        const auto& vteps = dataplane_.snapshot().vteps;
        datapath::SaParameters parameters;
        if (one.vtep < vteps.size() && fill(parameters, one.spi, one.epoch, vteps[one.vtep].ip)) {
            note_failure(dataplane_.associations().send_with(one.vtep, parameters));
        }
        OPENSSL_cleanse(&parameters, sizeof parameters);
    }
}

bool KeyService::fill(datapath::SaParameters& out, std::uint32_t spi, std::uint64_t epoch,
                      const IpAddr& sender) const {
    const Spi name = Spi::of(spi);
    const auto at = loaded_.policies.find(name.policy);
    const keys::GroupKey* group =
        at == loaded_.policies.end() ? nullptr : at->second.keys.at(epoch);
    if (group == nullptr) { return false; }
    const model::KeyPolicy& what = at->second.what;
    const std::size_t size = model::key_size(what.algorithm);
    const keys::Secret<36> key = keys::sender_key(
        *group,
        {name.policy, what.algorithm, what.rotate_s, epoch, name.generation, name.worker, sender});
    out.spi = spi;
    out.algorithm = what.algorithm;
    std::copy_n(key.bytes().begin(), size, out.key.begin());
    std::copy_n(key.bytes().begin() + static_cast<std::ptrdiff_t>(size), out.salt.size(),
                out.salt.begin());
    return true;
}

void KeyService::note_failure(const Status& status) {
    if (!status) { tell(status.error(), fault_); }
}

// Once, until it is another one.
void KeyService::tell(const Error& error, std::string& last) {
    if (last != error.message) { spdlog::error("{}", error.message); }
    last = error.message;
}

asio::awaitable<void> KeyService::take_generation() {
    std::uint64_t longest_s = 1;
    for (const auto& [id, policy] : loaded_.policies) {
        longest_s = std::max<std::uint64_t>(longest_s, policy.what.rotate_s);
    }
    const std::uint64_t now_s = unix_s();
    std::function<Result<std::uint16_t>()> take = [this, now_s, longest_s] {
        return generations_.take(now_s, longest_s, random_number());
    };
    Result<std::uint16_t> taken = co_await on_helper(helper_, std::move(take));
    retry_s_ = taken ? 0 : now_s + kRetryS;
    if (!taken) {
        tell(taken.error(), generation_fault_);
        co_return;
    }
    generation_fault_.clear();
    table_.set_generation(taken.value());
}

asio::awaitable<Result<nlohmann::json>> KeyService::reload() {
    const std::shared_ptr<const model::Document> document = config_.shared_document();
    std::function<Result<nlohmann::json>()> work;
    auto loaded = std::make_shared<std::optional<Loaded>>();
    work = [this, document, loaded]() -> Result<nlohmann::json> {
        Result<Loaded> next = read(*document, state_dir_, true);
        if (!next) { return next.error(); }
        *loaded = std::move(next).value();
        return nlohmann::json{{"policies", (*loaded)->policies.size()}};
    };
    Result<nlohmann::json> done = co_await on_helper(helper_, std::move(work));
    if (done && document == config_.shared_document()) { use(std::move(**loaded)); }
    co_return done;
}

}  // namespace sluice::daemon
