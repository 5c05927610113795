// SPDX-License-Identifier: Apache-2.0
// An admin socket with canned answers, and the CLI run against it. Remembers what it was asked.
#pragma once

#include <stdlib.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "admin/server.h"
#include "cli/cli.h"

namespace sluice::cli::test {

using nlohmann::json;

/// What one run of the CLI left behind.
struct Transcript {
    int status = -1;
    std::string out;
    std::string err;
    [[nodiscard]] nlohmann::json parsed() const { return nlohmann::json::parse(out); }
};

class FakeDaemon {
public:
    FakeDaemon() {
        std::string pattern = "/tmp/sluice-cli-test-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        admin::Options options;
        options.audit = [](const admin::AuditRecord&) {};
        server_ = std::make_unique<admin::AdminServer>(io_, socket(), options);
        if (!server_->start().ok()) { std::abort(); }
        thread_ = std::thread([this] { io_.run(); });
    }
    ~FakeDaemon() {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            server_->stop();
            done.set_value();
        });
        done.get_future().wait();
        work_.reset();
        io_.stop();
        thread_.join();
        server_.reset();
        std::filesystem::remove_all(folder_);
    }
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;

    [[nodiscard]] std::string folder() const { return folder_; }
    [[nodiscard]] std::string socket() const { return folder_ + "/sluiced.sock"; }

    void answers(const std::string& method, Result<json> answer) {
        answers_by(method, [answer](const json&) { return answer; });
    }

    /// The same with an answer that follows from the parameters.
    void answers_by(const std::string& method, std::function<Result<json>(const json&)> answer) {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            server_->add(method, admin::Access::kRead,
                         [this, method, answer](const json& params, const admin::Peer&) {
                             asked_[method] = params;
                             return answer(params);
                         });
            done.set_value();
        });
        done.get_future().wait();
    }

    /// Parameters of the last call of `method`; null if there was none.
    json asked(const std::string& method) {
        std::promise<json> answer;
        boost::asio::post(
            io_, [&] { answer.set_value(asked_.count(method) ? asked_[method] : json()); });
        return answer.get_future().get();
    }

    Transcript run(std::vector<std::string> args, const std::string& input = "",
                   bool color = false) {
        args.insert(args.begin(), {"--socket", socket()});
        return run_anywhere(args, input, color);
    }

    static Transcript run_anywhere(const std::vector<std::string>& args,
                                   const std::string& input = "", bool color = false) {
        std::istringstream in(input);
        std::ostringstream out;
        std::ostringstream err;
        Transcript run;
        run.status = run_cli(args, {in, out, err, color});
        run.out = out.str();
        run.err = err.str();
        return run;
    }

private:
    boost::asio::io_context io_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    std::string folder_;
    std::unique_ptr<admin::AdminServer> server_;
    std::map<std::string, json> asked_;  // Control thread only.
    std::thread thread_;
};

}  // namespace sluice::cli::test
