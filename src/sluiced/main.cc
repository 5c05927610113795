// SPDX-License-Identifier: Apache-2.0
// sluiced: the daemon. main() brings the parts up in order (log, EAL, dataplane, configuration,
// workers, admin socket), runs the control loop on this thread until SIGTERM or SIGINT, and takes
// them down in reverse.
#include <rte_cycles.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "datapath/thread.h"
#include "privileged/helper.h"
#include "src/sluiced/capture_service.h"
#include "src/sluiced/eal.h"
#include "src/sluiced/firewall_log.h"
#include "src/sluiced/fleet_source.h"
#include "src/sluiced/key_service.h"
#include "src/sluiced/methods.h"
#include "src/sluiced/metrics.h"
#include "src/sluiced/metrics_server.h"
#include "src/sluiced/options.h"
#include "src/sluiced/port_migration.h"
#include "src/sluiced/querier_timer.h"
#include "src/sluiced/service_modules.h"
#include "src/sluiced/size_watch.h"
#include "src/sluiced/spoofguard.h"
#include "src/sluiced/team_watch.h"
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

// Each vNIC needs a dozen descriptors or more.
void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) { return; }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
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

datapath::DataplaneOptions dataplane_options(const Options& options, rte_mempool* pool) {
    datapath::DataplaneOptions out;
    out.worker_count = static_cast<unsigned>(options.cores.size());
    out.pool = pool;
    out.flow_cache = options.flow_cache;
    out.seed = random_seed();
    out.share_cycles = rte_get_tsc_hz() / 1000U * kShareWindowMs;
    return out;
}

std::string firewall_log_path(const Options& options) {
    return options.firewall_log.empty() ? options.state_dir + "/firewall.log"
                                        : options.firewall_log;
}

// Pets systemd's watchdog as long as the control loop turns.
class Watchdog {
public:
    explicit Watchdog(boost::asio::io_context& io) : timer_(io) {
        std::uint64_t usec = 0;
        if (sd_watchdog_enabled(0, &usec) > 0) {
            period_ = std::chrono::microseconds(usec / 2);
            pet();
        }
    }
    void stop() { timer_.cancel(); }

private:
    void pet() {
        sd_notify(0, "WATCHDOG=1");
        timer_.expires_after(period_);
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (!error) { pet(); }
        });
    }
    boost::asio::steady_timer timer_;
    std::chrono::microseconds period_{0};
};

class Daemon {
public:
    Daemon(const Options& options, Eal& eal, relay::Fd helper)
        : options_(options),
          dataplane_(dataplane_options(options, eal.pool())),
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
          admin_(io_, options.socket),
          migration_(io_, dataplane_, config_, admin_.changes()),
          signals_(io_, SIGTERM, SIGINT),
          reopen_signal_(io_, SIGHUP),
          watchdog_(io_),
          querier_(io_, dataplane_, config_),
          sizes_(io_, dataplane_) {}

    Status run() {
        if (Status opened = store_.open(); !opened) { return opened; }
        if (!options_.firewall_log.empty()) {
            if (Status opened = firewall_log_.open(); !opened) { return opened; }
        }
        host::ModuleSource modules = [this](const std::string& name) { return modules_.get(name); };
        config_.load_modules_from(std::move(modules));
        config_.on_logged_rules(
            [this](host::LoggedRules rules) { firewall_log_.set_rules(std::move(rules)); });
        if (Status loaded = config_.load(options_.config); !loaded) { return loaded; }
        keys_.start();
        metrics_.set_keys(keys_);
        load_source();
        if (options_.metrics) {
            if (Status served = metrics_server_.start(*options_.metrics); !served) {
                return served;
            }
        }
        for (unsigned w = 0; w < options_.cores.size(); ++w) {
            threads_.push_back(
                std::make_unique<datapath::WorkerThread>(dataplane_, w, options_.cores[w]));
        }
        add_methods(admin_, config_, show_, options_.source);
        add_rule_methods(admin_, rule_checks_);
        add_capture_methods(admin_, captures_);
        add_spoofguard_methods(admin_, spoofguard_);
        add_key_methods(admin_, keys_);
        add_migration_methods(admin_, migration_);
        Status served = admin_.start();
        if (served) {
            signals_.async_wait([this](const boost::system::error_code& error, int number) {
                if (!error) { stop(number); }
            });
            await_reopen();
            if (source_) { source_->start(); }
            sd_notify(0, "READY=1");
            spdlog::info("sluiced {}: serving on {}", kVersion, options_.socket);
            io_.run();
        }
        take_down();
        return served;
    }

private:
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

    void stop(int signal) {
        spdlog::info("signal {}: stopping", signal);
        sd_notify(0, "STOPPING=1");
        admin_.stop();
        watchdog_.stop();
        sizes_.stop();
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
    boost::asio::io_context io_{1};
    datapath::Dataplane dataplane_;
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
    admin::AdminServer admin_;
    PortMigration migration_;
    boost::asio::signal_set signals_;
    boost::asio::signal_set reopen_signal_;
    Watchdog watchdog_;
    QuerierTimer querier_;
    SizeWatch sizes_;
    std::unique_ptr<FleetSource> source_;  // None: the local store.
    std::vector<std::unique_ptr<datapath::WorkerThread>> threads_;
};

int run(const Options& options) {
    start_log(options);
    raise_file_limit();
    ignore_write_signals();
    Result<privileged::Helper> helper = privileged::start_helper();  // While there is one thread.
    if (!helper) {
        spdlog::critical("{}", helper.error().message);
        return 1;
    }
    Result<std::unique_ptr<Eal>> eal = Eal::start(options);
    if (!eal) {
        spdlog::critical("{}", eal.error().message);
        return 1;
    }
    Daemon daemon(options, *eal.value(), std::move(helper.value().socket));
    const Status status = daemon.run();
    if (!status) { spdlog::critical("{}", status.error().message); }
    return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::daemon

int main(int argc, char** argv) {
    try {
        const auto line = sluice::daemon::parse_command_line(argc, argv);
        return line.exit_status ? *line.exit_status : sluice::daemon::run(line.options);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sluiced: %s\n", error.what());
        return 1;
    }
}
