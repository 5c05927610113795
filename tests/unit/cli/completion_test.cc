// SPDX-License-Identifier: Apache-2.0
// What is offered at each place of the command line, and the bash script in a real bash.
#include "cli/completion.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "fake_daemon.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

const char* const kPorts =
    R"([{"name":"vm1","port_group":"web"},{"name":"vm2","port_group":"web"},{"name":"db","port_group":"back"}])";

TEST(Completion, OffersCommandsWordByWord) {
    EXPECT_EQ(complete({"fl"}), Words({"flush", "fleet"}));
    EXPECT_EQ(complete({"flush", ""}), Words({"conns", "macs", "bindings", "flows"}));
    EXPECT_EQ(complete({"-o", "json", "show", "po"}), Words({"ports", "port"}));
    EXPECT_EQ(complete({"nonsense", ""}), Words());
}

TEST(Completion, OffersOptionsAndTheirValues) {
    EXPECT_EQ(complete({"show", "flows", "--t"}), Words({"--timeout", "--top"}));
    EXPECT_EQ(complete({"show", "flows", "--top", ""}), Words());
    EXPECT_EQ(complete({"-o", ""}), Words({"table", "json"}));
    EXPECT_EQ(complete({"--socket", ""}), Words({":files"}));
    EXPECT_EQ(complete({"apply", "x"}), Words({":files"}));
    EXPECT_EQ(complete({"apply", "x", ""}), Words());
    EXPECT_EQ(complete({"log-level", "w"}), Words({"warn"}));
    EXPECT_EQ(complete({"--v"}), Words({"--version"}));
}

TEST(Completion, AsksTheDaemonForNames) {
    test::FakeDaemon daemon;
    daemon.answers("show.ports", json::parse(kPorts));
    const auto names = [&](Words words) {
        words.insert(words.begin(), {"--socket", daemon.socket()});
        return complete(words);
    };
    EXPECT_EQ(names({"show", "chain", ""}), Words({"db", "vm1", "vm2"}));
    EXPECT_EQ(names({"show", "conns", "--limit", "5", "vm"}), Words({"vm1", "vm2"}));
    EXPECT_EQ(names({"flush", "macs", ""}), Words({"back", "web"}));
    EXPECT_EQ(names({"show", "chain", "vm1", ""}), Words());
}

TEST(Completion, OffersNamesOfTheDocument) {
    test::FakeDaemon daemon;
    daemon.answers("show.ports", json::parse(kPorts));
    daemon.answers("export", json::parse(R"({"switches":[{"name":"dvs0"}],"dfw":{"sections":[
        {"name":"app","rules":[{"name":"a"},{"name":"b"}]},{"name":"empty"}]}})"));
    const auto names = [&](Words words) {
        words.insert(words.begin(), {"--socket", daemon.socket()});
        return complete(words);
    };
    EXPECT_EQ(names({"rule", "set", ""}), Words({"app/a", "app/b"}));
    EXPECT_EQ(names({"rule", "add", ""}), Words({"app", "empty"}));
    EXPECT_EQ(names({"port", "set", "vm"}), Words({"vm1", "vm2"}));
    EXPECT_EQ(names({"port", "add", "vm9", "--port-group", ""}), Words({"back", "web"}));
    EXPECT_EQ(names({"port-group", "set", "web", "--switch", ""}), Words({"dvs0"}));
    EXPECT_EQ(names({"top", "--sort", "b"}), Words({"bytes"}));
    EXPECT_EQ(names({"acl", ""}), Words({"add", "set", "del", "rule"}));
}

TEST(Completion, NoDaemonNoNames) {
    EXPECT_EQ(complete({"--socket", "/tmp/none.sock", "show", "chain", ""}), Words());
}

TEST(Completion, WorksInBash) {
    test::FakeDaemon daemon;
    daemon.answers("show.ports", json::parse(kPorts));
    const std::string command = std::string("SLUICE_SOCKET=") + daemon.socket() +
                                " bash -c 'source <(" SLUICE_PROGRAM
                                " completion bash) && "
                                "COMP_WORDS=(" SLUICE_PROGRAM
                                " show chain vm) COMP_CWORD=3 && _sluice && "
                                "echo ${COMPREPLY[@]}'";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::array<char, 256> text{};
    EXPECT_NE(std::fgets(text.data(), static_cast<int>(text.size()), pipe), nullptr);
    EXPECT_EQ(::pclose(pipe), 0);
    EXPECT_STREQ(text.data(), "vm1 vm2\n");
}

}  // namespace
}  // namespace sluice::cli
