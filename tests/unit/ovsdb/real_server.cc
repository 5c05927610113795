// SPDX-License-Identifier: Apache-2.0
// Processes and files of a server.
#include "real_server.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace sluice::ovsdb::test {

namespace {

constexpr const char* kServer = "/usr/sbin/ovsdb-server";

pid_t spawn(const std::vector<std::string>& command, const std::string& output) {
    std::vector<char*> arguments;
    for (const auto& word : command) { arguments.push_back(const_cast<char*>(word.c_str())); }
    arguments.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = ::open(output.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(fd, 1);
        ::dup2(fd, 2);
        ::execvp(arguments[0], arguments.data());
        ::_exit(127);
    }
    return pid;
}

std::string read_file(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TestFolder::TestFolder() {
    const char* chosen = std::getenv("TMPDIR");
    std::string base = chosen == nullptr ? "/tmp" : chosen;
    if (base.size() > 60) { base = "/tmp"; }
    folder_ = base + "/sluice-ovsdb-XXXXXX";
    if (::mkdtemp(folder_.data()) == nullptr) { throw std::runtime_error("mkdtemp " + folder_); }
}

TestFolder::~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

int run(const std::vector<std::string>& command, const std::string& output) {
    int status = 0;
    ::waitpid(spawn(command, output), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool has_ovsdb() { return ::access(kServer, X_OK) == 0; }

RealServer::RealServer(const TestFolder& folder, std::string name, Options options)
    : folder_(folder), name_(std::move(name)), options_(std::move(options)) {
    make_database();
    start();
}

RealServer::~RealServer() { stop(); }

std::string RealServer::file(const std::string& suffix) const {
    return folder_.path(name_ + suffix);
}

std::string RealServer::remote() const { return "unix:" + file(".sock"); }

void RealServer::make_database() {
    if (!options_.relay.empty()) { return; }
    if (options_.schema.empty()) { std::ofstream(file(".schema")) << schema_text(); }
    std::filesystem::remove(file(".db"));
    std::vector<std::string> command = {
        "ovsdb-tool", "create", file(".db"),
        options_.schema.empty() ? file(".schema") : options_.schema};
    if (options_.is_clustered) {
        command[1] = "create-cluster";
        command.push_back("unix:" + file(".raft"));
    }
    if (run(command, file(".out")) != 0) { throw std::runtime_error(read_file(file(".out"))); }
}

void RealServer::start() {
    std::vector<std::string> command = {kServer, "--no-chdir", "--unixctl=" + file(".ctl"),
                                        "--log-file=" + file(".log"), "--remote=p" + remote()};
    command.insert(command.end(), options_.more.begin(), options_.more.end());
    command.push_back(options_.relay.empty() ? file(".db") : options_.relay);
    pid_ = spawn(command, file(".out"));
    for (int i = 0; i < 1000 && ::access(file(".sock").c_str(), F_OK) != 0; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

void RealServer::stop() {
    if (pid_ == 0) { return; }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    std::filesystem::remove(file(".sock"));
}

void RealServer::remake() {
    stop();
    make_database();
    start();
}

void RealServer::freeze() { ::kill(pid_, SIGSTOP); }
void RealServer::thaw() { ::kill(pid_, SIGCONT); }

std::string RealServer::control(const std::vector<std::string>& command) const {
    std::vector<std::string> whole = {"ovs-appctl", "-t", file(".ctl")};
    whole.insert(whole.end(), command.begin(), command.end());
    const auto output = file(".answer");
    std::filesystem::remove(output);
    run(whole, output);
    return read_file(output);
}

std::string schema_text(bool has_more) {
    const std::string many = R"(,"min":0,"max":"unlimited"}})";
    std::string text =
        R"({"name":"Test","version":"1.0.0","tables":{"Thing":{"columns":{
        "name":{"type":"string"},"count":{"type":"integer"},"rate":{"type":"real"},
        "is_on":{"type":"boolean"},"of":{"type":"uuid"},
        "maybe":{"type":{"key":"string","min":0,"max":1}},
        "single":{"type":{"key":"string","value":"string","min":0,"max":1}},
        "few":{"type":{"key":"integer","min":0,"max":3}},
        "numbers":{"type":{"key":"integer")" +
        many + R"(,"words":{"type":{"key":"string")" + many + R"(,"ids":{"type":{"key":"uuid")" +
        many + R"(,"items":{"type":{"key":"string","value":"string")" + many +
        R"(,"ranks":{"type":{"key":"integer","value":"real")" + many +
        R"(},"isRoot":true},"Other":{"columns":{"name":{"type":"string"}},"isRoot":true})";
    if (has_more) { text += R"(,"More":{"columns":{"name":{"type":"string"}},"isRoot":true})"; }
    return text + "}}";
}

}  // namespace sluice::ovsdb::test
