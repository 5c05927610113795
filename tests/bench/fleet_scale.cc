// SPDX-License-Identifier: Apache-2.0
// fleet_scale: a zone of a fleet against real ovsdb-servers. `fleet_scale fill` writes it,
// `fleet_scale run` runs many agents in this process, each with a stand-in for its daemon, and
// prints one JSON object: first sync, change to data path, memory, who was touched by a change.
// Exit status 1: what an agent holds is not what it should. fleet_scale.py starts the servers and
// both halves.
#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/fleet/fill.h"
#include "tests/bench/fleet/measure.h"

namespace {

using namespace sluice::scale;  // NOLINT(google-build-using-namespace): a program of its own.

boost::asio::awaitable<void> do_fill(boost::asio::io_context& io, Setting setting) {
    Writer config(io, setting.config, "Sluice_Config");
    Writer status(io, setting.status, "Sluice_Status");
    config.start();
    status.start();
    std::vector<std::string> status_remotes(1, setting.status);
    co_await fill(config, status, setting.shape, setting.agents, std::move(status_remotes));
    config.stop();
    status.stop();
}

boost::asio::awaitable<void> do_run(boost::asio::io_context& io, Setting setting, bool& is_right) {
    const nlohmann::json report = co_await measure(io, setting);
    std::cout << report.dump(1) << '\n';
    is_right = report.at("faults").empty();
}

}  // namespace

int main(int argc, char** argv) {
    Setting setting;
    CLI::App app{"A zone of a fleet against real ovsdb-servers"};
    app.add_option("--config", setting.config, "remotes of Sluice_Config")->required();
    app.add_option("--status", setting.status, "remote of Sluice_Status")->required();
    app.add_option("--ports", setting.shape.ports);
    app.add_option("--hosts", setting.shape.hosts);
    app.add_option("--networks", setting.shape.networks);
    app.add_option("--host-networks", setting.shape.host_networks, "that one host reaches");
    app.add_option("--agents", setting.agents, "hosts 0.. that run here");
    app.add_option("--changes", setting.changes, "of a port, and of a binding");
    app.require_subcommand(1);
    const CLI::App* filling = app.add_subcommand("fill", "write the fleet, then end");
    app.add_subcommand("run", "run agents and measure");
    CLI11_PARSE(app, argc, argv);
    if (const std::string fault = setting.shape.fault(); !fault.empty()) {
        std::cerr << "error: " << fault << '\n';
        return 2;
    }
    boost::asio::io_context io;
    bool is_right = true;
    std::exception_ptr failure;
    const auto ended = [&io, &failure](std::exception_ptr error) {
        failure = std::move(error);
        io.stop();
    };
    if (filling->parsed()) {
        boost::asio::co_spawn(io, do_fill(io, setting), ended);
    } else {
        boost::asio::co_spawn(io, do_run(io, setting, is_right), ended);
    }
    io.run();
    try {
        if (failure) { std::rethrow_exception(failure); }
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
    return is_right ? 0 : 1;
}
