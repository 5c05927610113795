// SPDX-License-Identifier: Apache-2.0
// sluiced: the daemon. main() brings the parts up in order (log, EAL, dataplane, configuration,
// workers, admin socket), runs the control loop on this thread until SIGTERM or SIGINT, and takes
// them down in reverse.
#include <fcntl.h>
#include <rte_cycles.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>

#include "datapath/thread.h"
#include "handover/launcher.h"
#include "src/sluiced/arena_place.h"
#include "src/sluiced/arena_service.h"
#include "src/sluiced/capture_service.h"
#include "src/sluiced/eal.h"
#include "src/sluiced/firewall_log.h"
#include "src/sluiced/fleet_source.h"
#include "src/sluiced/health_methods.h"
#include "src/sluiced/health_watch.h"
#include "src/sluiced/key_service.h"
#include "src/sluiced/methods.h"
#include "src/sluiced/metrics.h"
#include "src/sluiced/metrics_server.h"
#include "src/sluiced/options.h"
#include "src/sluiced/port_migration.h"
#include "src/sluiced/privileges.h"
#include "src/sluiced/querier_timer.h"
#include "src/sluiced/service_modules.h"
#include "src/sluiced/size_watch.h"
#include "src/sluiced/spoofguard.h"
#include "src/sluiced/takeover.h"
#include "src/sluiced/team_watch.h"
#include "src/sluiced/upgrade.h"
#include "src/sluiced/version.h"

namespace sluice::daemon {
namespace {

void start_log(const Options& options) {
    auto logger = spdlog::stderr_logger_mt("sluiced");
    logger->set_pattern(sd_booted() > 0 && getenv("JOURNAL_STREAM") != nullptr
                            ? "%l: %v"
                            : "%Y-%m-%dT%H:%M:%S.%e %l: %v");
    spdlog::set_default_logger(logger);
    spdlog::set_level(spdlog::level::from_str(options.log_level));
}

// Each vNIC needs a dozen descriptors or more. Their table grows now: later, with several threads,
// whoever opens one too many, a worker too, waits for a grace period of the kernel, some 10 ms.
void make_room_for_files() {
    constexpr rlim_t kReady = 8192;
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) { return; }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    const relay::Fd any(eventfd(0, EFD_CLOEXEC));
    const auto last = static_cast<int>(std::min(limit.rlim_cur, kReady) - 1U);
    const relay::Fd highest(fcntl(any.get(), F_DUPFD_CLOEXEC, last));
}

// A closed log pipe or a file-size limit is an error of one write, not the daemon's end.
void ignore_write_signals() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
}

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
        seed = static_cast<std::uint64_t>(getpid()) * 0x9e3779b97f4a7c15ULL;
    }
    return seed;
}

datapath::DataplaneOptions dataplane_options(const Options& options, rte_mempool* pool,
                                             std::shared_ptr<datapath::Arena> arena) {
    datapath::DataplaneOptions out;
    out.worker_count = static_cast<unsigned>(options.cores.size());
    out.pool = pool;
    out.flow_cache = options.flow_cache;
    out.seed = random_seed();
    out.arena = std::move(arena);
    out.share_cycles = rte_get_tsc_hz() / 1000U * kShareWindowMs;
    return out;
}

std::string firewall_log_path(const Options& options) {
    return options.firewall_log.empty() ? options.state_dir + "/firewall.log"
                                        : options.firewall_log;
}

// Pets systemd's watchdog as long as the control loop turns and packets move.
class Watchdog {
public:
    Watchdog(boost::asio::io_context& io, std::function<bool()> is_well)
        : timer_(io), is_well_(std::move(is_well)) {
        std::uint64_t usec = 0;
        if (sd_watchdog_enabled(0, &usec) > 0) {
            period_ = std::chrono::microseconds(usec / 4);
            pet();
        }
    }
    void stop() { timer_.cancel(); }

private:
    void pet() {
        if (is_well_()) { sd_notify(0, "WATCHDOG=1"); }
        timer_.expires_after(period_);
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) { pet(); }
        });
    }
    boost::asio::steady_timer timer_;
    std::function<bool()> is_well_;
    std::chrono::microseconds period_{0};
};

class Daemon {
public:
    /// @param takeover  of a process that goes on in another one's place; else nullptr
    Daemon(const Options& options, Eal& eal, relay::Fd helper, handover::Launcher& launcher,
           Takeover* takeover)
        : options_(options),
          runtime_dir_(eal.runtime_dir()),
          takeover_(takeover),
          arena_(open_arena(options, random_seed(), takeover != nullptr)),
          dataplane_(dataplane_options(options, eal.pool(), arena_.arena)),
          survival_(io_, dataplane_),
          store_(options.state_dir),
          devices_(io_, dataplane_, eal.pool(), eal.runtime_dir()),
          helper_(io_, std::move(helper)),
          kernel_ports_(io_, dataplane_, eal.pool(), helper_),
          uplinks_(io_, dataplane_, eal.pool()),
          config_(dataplane_, devices_, kernel_ports_, uplinks_, store_),
          keys_(io_, dataplane_, config_, options.state_dir,
                options.source.kind == Source::Kind::kLocal),
          firewall_log_(io_, dataplane_, firewall_log_path(options)),
          teams_(io_, dataplane_, config_, uplinks_),
          show_(dataplane_, config_, devices_, kernel_ports_, uplinks_, teams_, options_),
          rule_checks_(dataplane_, config_),
          captures_(io_, dataplane_, config_),
          spoofguard_(dataplane_, config_),
          metrics_(dataplane_, config_, uplinks_, teams_, options_),
          metrics_server_(io_, metrics_),
          health_(io_, dataplane_,
                  {[this] { return source_status(); }, [this] { return uplinks_down(); }}),
          admin_(io_, options.socket),
          migration_(io_, dataplane_, config_, admin_.changes()),
          signals_(io_, SIGTERM, SIGINT),
          reopen_signal_(io_, SIGHUP),
          watchdog_(io_, [this] { return health_.packets_move(); }),
          querier_(io_, dataplane_, config_),
          sizes_(io_, dataplane_),
          upgrade_(io_, launcher, upgrade_parts()) {}

    Status run() {
        if (Status opened = store_.open(); !opened) { return opened; }
        if (!options_.firewall_log.empty()) {
            if (Status opened = firewall_log_.open(); !opened) { return opened; }
        }
        host::ModuleSource modules = [this](const std::string& name) { return modules_.get(name); };
        config_.load_modules_from(std::move(modules));
        if (takeover_ == nullptr) {
            if (Status adopted = survival_.adopt(); !adopted) { return adopted; }
        }
        if (arena_.names) { config_.keep_names(*arena_.names); }
        devices_.keep_offers(survival_.guests());
        show_.set_arena([this] { return survival_.status(); });
        config_.on_logged_rules(
            [this](host::LoggedRules rules) { firewall_log_.set_rules(std::move(rules)); });
        if (takeover_ != nullptr) { defer(); }
        if (Status loaded = config_.load(options_.config); !loaded) { return loaded; }
        keys_.start();
        metrics_.set_keys(keys_);
        load_source();
        metrics_.set_alarms([this](AlarmKind kind) { return health_.alarms().count(kind); });
        add_methods(admin_, config_, show_, options_.source);
        add_health_methods(admin_, show_, health_);
        add_rule_methods(admin_, rule_checks_);
        add_capture_methods(admin_, captures_);
        add_spoofguard_methods(admin_, spoofguard_);
        add_key_methods(admin_, keys_);
        add_migration_methods(admin_, migration_);
        add_upgrade_methods(admin_, upgrade_);
        Inheritance inherited;
        if (takeover_ != nullptr) {
            uplinks_.open_ahead();
            dataplane_.prepare_adoption();
            Result<Inheritance> taken = takeover_->take(config_.generation());
            if (!taken) { return taken.error(); }
            inherited = std::move(taken).value();
            if (Status taken_over = take_arena(); !taken_over) { return taken_over; }
            if (Status adopted = survival_.adopt(); !adopted) { return adopted; }
        }
        if (Status served = serve_metrics(inherited); !served) { return served; }
        start_workers();
        Status served = Ok{};
        if (takeover_ != nullptr) {
            auto going_on = go_on(std::move(inherited));
            boost::asio::co_spawn(io_, std::move(going_on), boost::asio::detached);
        } else {
            served = admin_.start();
            if (served) { begin(); }
        }
        if (served) {
            signals_.async_wait([this](const boost::system::error_code& error, int number) {
                if (!error) { stop(number); }
            });
            await_reopen();
            io_.run();
        }
        if (is_intruder_) { leave(1); }
        take_down();
        return served;
    }

    /// Ends without a word to anybody: guests, interfaces, sockets and devices are another
    /// process's, which a device that is closed in order would disturb.
    [[noreturn]] void leave(int status) {
        threads_.clear();
        firewall_log_.stop();
        config_.stop();
        std::error_code ignored;
        std::filesystem::remove_all(runtime_dir_, ignored);
        spdlog::shutdown();
        _exit(status);
    }

private:
    void begin() {
        survival_.start();
        health_.start();
        if (source_) { source_->start(); }
        sd_notify(0, "READY=1");
        spdlog::info("sluiced {}: serving on {}", kVersion, options_.socket);
    }

    // Until another process has handed over, nothing that is its own is touched.
    void defer() {
        devices_.defer();
        kernel_ports_.hold();
        uplinks_.hold();
    }

    Status serve_metrics(Inheritance& inherited) {
        if (!options_.metrics) { return Ok{}; }
        return inherited.metrics.valid() ? metrics_server_.adopt(inherited.metrics.release())
                                         : metrics_server_.start(*options_.metrics);
    }

    void start_workers() {
        for (unsigned w = 0; w < options_.cores.size(); ++w) {
            threads_.push_back(
                std::make_unique<datapath::WorkerThread>(dataplane_, w, options_.cores[w]));
        }
    }

    // What lies in the arena is this process's from now on, whoever wrote it last.
    Status take_arena() {
        return dataplane_.arena().is_kept() ? dataplane_.arena().take_over() : Status(Ok{});
    }

    // The rest of a handover, on the control loop.
    boost::asio::awaitable<void> go_on(Inheritance inherited) {
        uplinks_.plug_in_opened();
        for (KernelPorts::Handed& each : inherited.interfaces) {
            kernel_ports_.adopt(std::move(each));
        }
        devices_.adopt(std::move(inherited.guests));
        kernel_ports_.resume();
        uplinks_.resume();
        const auto moves = [this, &inherited] { return packets_move(inherited); };
        co_await wait_until(moves);
        const bool is_ours = co_await takeover_->finish(inherited.received_at);
        Status served = Error{Errc::kState, "upgrade: the running daemon took it back", ""};
        if (is_ours) { served = admin_.adopt(inherited.admin); }
        if (!served) {
            spdlog::critical("{}", served.error().message);
            is_intruder_ = true;
            io_.stop();
            co_return;
        }
        takeover_->calm();
        Takeover::take_log();
        begin();
    }

    // Whatever moved packets in the other process does so here, or has a reason of its own.
    bool packets_move(const Inheritance& inherited) const {
        const auto& guests = inherited.guests_up;
        const auto& uplinks = inherited.uplinks_up;
        return std::all_of(guests.begin(), guests.end(),
                           [this](const auto& name) { return devices_.is_settled(name); }) &&
               std::all_of(uplinks.begin(), uplinks.end(),
                           [this](const auto& name) { return uplinks_.is_open(name); });
    }

    UpgradeParts upgrade_parts() {
        return {devices_,
                kernel_ports_,
                uplinks_,
                config_,
                admin_,
                metrics_server_,
                [this] {
                    threads_.clear();
                    survival_.finish();
                    dataplane_.arena().release();
                },
                [this]() -> Status {
                    Status taken = take_arena();
                    if (taken && dataplane_.arena().is_kept()) { taken = survival_.adopt_again(); }
                    start_workers();
                    return taken;
                },
                [this](pid_t pid) { clear_runtime_dir(pid); },
                [this] {
                    is_retired_ = true;
                    watchdog_.stop();
                    health_.stop();
                    keys_.stop();
                    if (source_) { source_->stop(); }
                },
                [this] { leave(0); }};
    }

    // Of a process that had one beside this one's (eal.h).
    void clear_runtime_dir(pid_t pid) const {
        const std::string own = std::to_string(getpid());
        if (!runtime_dir_.ends_with(own) || pid == getpid()) { return; }
        std::error_code ignored;
        std::filesystem::remove_all(
            runtime_dir_.substr(0, runtime_dir_.size() - own.size()) + std::to_string(pid),
            ignored);
    }

    // What it knew when it ended counts from the first packet on.
    void load_source() {
        if (options_.source.kind == Source::Kind::kLocal) { return; }
        source_ =
            std::make_unique<FleetSource>(io_, dataplane_, config_, admin_.changes(), options_);
        source_->on_public_key([this] { return keys_.public_key(); });
        source_->load();
        const auto status = [this] { return source_->status(); };
        show_.set_source(status);
        metrics_.set_source(status);
    }

    nlohmann::json source_status() const { return source_ ? source_->status() : nlohmann::json(); }

    // By name, why.
    std::map<std::string, std::string> uplinks_down() const {
        std::map<std::string, std::string> out;
        for (const model::Uplink& uplink : config_.document().uplinks) {
            const std::string why = uplinks_.state(uplink.name).why;
            if (!why.empty()) { out.emplace(uplink.name, why); }
        }
        return out;
    }

    void stop(int signal) {
        if (is_retired_) { leave(0); }
        spdlog::info("signal {}: stopping", signal);
        sd_notify(0, "STOPPING=1");
        admin_.stop();
        watchdog_.stop();
        health_.stop();
        sizes_.stop();
        survival_.stop();
        captures_.stop();
        metrics_server_.stop();
        querier_.stop();
        migration_.stop();
        teams_.stop();
        keys_.stop();
        if (source_) { source_->stop(); }
        io_.stop();
    }

    // SIGHUP: who rotates logs has moved the file away.
    void await_reopen() {
        reopen_signal_.async_wait([this](const boost::system::error_code& error, int) {
            if (error) { return; }
            firewall_log_.reopen();
            await_reopen();
        });
    }

    // Guests are cut off while workers still run: the vhost library waits for them. Then workers,
    // then ports.
    void take_down() {
        rule_checks_.stop();
        keys_.join();
        config_.stop();
        devices_.stop();
        [[maybe_unused]] const std::uint64_t token = dataplane_.publish(empty());
        while (!dataplane_.is_settled(token)) { std::this_thread::yield(); }
        dataplane_.reclaim();
        threads_.clear();
        survival_.finish();
        firewall_log_.stop();
        kernel_ports_.stop();
        uplinks_.stop();
        helper_.stop();
    }

    std::unique_ptr<datapath::Snapshot> empty() const {
        auto snapshot = std::make_unique<datapath::Snapshot>();
        snapshot->generation = dataplane_.snapshot().generation + 1;
        snapshot->worker_ports.resize(options_.cores.size());
        snapshot->timeouts = dataplane_.snapshot().timeouts;
        return snapshot;
    }

    const Options& options_;
    const std::string runtime_dir_;
    Takeover* const takeover_;
    bool is_intruder_ = false;  // Another process is the daemon after all.
    bool is_retired_ = false;   // Another process is the daemon from now on.
    boost::asio::io_context io_{1};
    OpenedArena arena_;
    datapath::Dataplane dataplane_;
    ArenaService survival_;
    agent::LocalStore store_;
    VhostDevices devices_;
    privileged::HelperClient helper_;
    KernelPorts kernel_ports_;
    Uplinks uplinks_;
    ConfigService config_;
    KeyService keys_;
    ServiceModules modules_{options_.service_dir};
    FirewallLog firewall_log_;
    TeamWatch teams_;
    ShowService show_;
    RuleChecks rule_checks_;
    CaptureService captures_;
    SpoofGuardService spoofguard_;
    Metrics metrics_;
    MetricsServer metrics_server_;
    HealthWatch health_;
    admin::AdminServer admin_;
    PortMigration migration_;
    boost::asio::signal_set signals_;
    boost::asio::signal_set reopen_signal_;
    Watchdog watchdog_;
    QuerierTimer querier_;
    SizeWatch sizes_;
    Upgrade upgrade_;
    std::unique_ptr<FleetSource> source_;  // None: the local store.
    std::vector<std::unique_ptr<datapath::WorkerThread>> threads_;
};

int run(const Options& options, std::vector<std::string> arguments) {
    start_log(options);
    std::unique_ptr<Takeover> takeover;
    if (options.takeover_fd) { takeover = std::make_unique<Takeover>(*options.takeover_fd); }
    const auto failed = [&takeover](const Error& error) {
        spdlog::critical("{}", error.message);
        if (takeover) { takeover->fail(error); }
        return 1;
    };
    make_room_for_files();
    ignore_write_signals();
    // Both while there is one thread.
    Result<handover::Launcher> launcher = handover::Launcher::fork(std::move(arguments));
    if (!launcher) { return failed(launcher.error()); }
    Result<privileged::Helper> helper = start_confined(options);
    if (!helper) { return failed(helper.error()); }
    Result<std::unique_ptr<Eal>> eal = Eal::start(options);
    if (!eal) { return failed(eal.error()); }
    Daemon daemon(options, *eal.value(), std::move(helper.value().socket), launcher.value(),
                  takeover.get());
    const Status status = daemon.run();
    if (status) { return 0; }
    const int code = failed(status.error());
    if (takeover) { daemon.leave(code); }
    return code;
}

}  // namespace
}  // namespace sluice::daemon

int main(int argc, char** argv) {
    try {
        const auto line = sluice::daemon::parse_command_line(argc, argv);
        return line.exit_status
                   ? *line.exit_status
                   : sluice::daemon::run(line.options, std::vector<std::string>(argv, argv + argc));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sluiced: %s\n", error.what());
        return 1;
    }
}
