// SPDX-License-Identifier: Apache-2.0
// The whole CLI against a daemon with canned answers: what is asked on the wire, what is printed,
// exit statuses.
#include "cli/cli.h"

#include <gtest/gtest.h>

#include <fstream>

#include "cli/command.h"
#include "fake_daemon.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using test::FakeDaemon;
using test::Transcript;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

class Cli : public testing::Test {
protected:
    std::string file(const std::string& name, const std::string& text) {
        const std::string path = daemon_.folder() + "/" + name;
        std::ofstream(path) << text;
        return path;
    }
    FakeDaemon daemon_;
};

TEST_F(Cli, ApplySendsTheDocumentItself) {
    daemon_.answers("apply", json{{"changed", 3}, {"generation", 7}});
    const auto path = file("vms.json", "{\n \"host\": {\"name\": \"a\"},\r\n \"ports\": []\n}\n");
    const Transcript run = daemon_.run({"apply", path});
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(run.out, "changed 3 objects, generation 7\n");
    EXPECT_EQ(daemon_.asked("apply"), json::parse(R"({"host":{"name":"a"},"ports":[]})"));
}

TEST_F(Cli, ApplyReadsStandardInput) {
    daemon_.answers("apply", json{{"changed", 0}, {"generation", 7}});
    const Transcript run = daemon_.run({"apply", "-"}, "\xef\xbb\xbf{\"ports\":[]}");
    EXPECT_EQ(run.out, "nothing to change, generation 7\n");
    EXPECT_EQ(daemon_.asked("apply"), json::parse(R"({"ports":[]})"));
}

TEST_F(Cli, DryRunIsASiblingMethod) {
    daemon_.answers("apply.dry_run", json{{"changed", 1}, {"generation", 7}});
    const Transcript run = daemon_.run({"apply", "--dry-run", "-"}, "{}");
    EXPECT_EQ(run.out, "would change 1 object, generation 7\n");
    EXPECT_EQ(daemon_.asked("apply.dry_run"), json::object());
    EXPECT_TRUE(daemon_.asked("apply").is_null());
}

TEST_F(Cli, JsonOutputIsTheResultAsItIs) {
    const json result = json::parse(R"({"changed":0,"generation":3,"later":[1,null,"x"]})");
    daemon_.answers("apply", result);
    EXPECT_EQ(daemon_.run({"-o", "json", "apply", "-"}, "{}").parsed(), result);
    EXPECT_EQ(daemon_.run({"apply", "-o", "json", "-"}, "{}").parsed(), result);
    EXPECT_EQ(daemon_.run({"apply", "-", "--output=json"}, "{}").parsed(), result);
}

TEST_F(Cli, DaemonsErrorIsOneSentenceAndExitOne) {
    daemon_.answers("apply",
                    Error{Errc::kInvalid, "port vm1: mac \"x\": expected six bytes", "port vm1"});
    const Transcript table = daemon_.run({"apply", "-"}, "{}");
    EXPECT_EQ(table.status, 1);
    EXPECT_EQ(table.out, "");
    EXPECT_EQ(table.err, "sluice: port vm1: mac \"x\": expected six bytes\n");
    const Transcript as_json = daemon_.run({"-o", "json", "apply", "-"}, "{}");
    EXPECT_EQ(as_json.status, 1);
    EXPECT_EQ(as_json.parsed(), json({{"error",
                                       {{"code", "invalid"},
                                        {"message", "port vm1: mac \"x\": expected six bytes"},
                                        {"object", "port vm1"}}}}));
    EXPECT_EQ(as_json.err, as_json.out);
}

TEST_F(Cli, FileThatIsNoJsonIsNamedWithLineAndColumn) {
    daemon_.answers("apply", json::object());
    const auto path = file("bad.json", "{\n \"a\": 1,\n \"b\": }\n");
    const Transcript run = daemon_.run({"-o", "json", "apply", path});
    EXPECT_EQ(run.status, 1);
    const auto error = run.parsed()["error"];
    EXPECT_EQ(error["code"], "invalid");
    EXPECT_EQ(error["object"], "file " + path);
    EXPECT_TRUE(contains(run.err, path + ": line 3, column 7: not valid JSON")) << run.err;
    EXPECT_TRUE(daemon_.asked("apply").is_null());
}

TEST_F(Cli, FileThatIsNotThereIsExitOne) {
    const Transcript run = daemon_.run({"diff", "/nonexistent/vms.json"});
    EXPECT_EQ(run.status, 1);
    EXPECT_EQ(run.err,
              "sluice: /nonexistent/vms.json: cannot be read: No such file or directory\n");
}

TEST_F(Cli, KeyTwiceReachesTheDaemonAndIsRefused) {
    daemon_.answers("apply", json::object());
    const Transcript run = daemon_.run({"apply", "-"}, R"({"ports":[],"ports":[]})");
    EXPECT_EQ(run.status, 1);
    EXPECT_TRUE(contains(run.err, "key \"ports\" appears twice")) << run.err;
}

TEST_F(Cli, LargeDocumentAndAnswerPassWhole) {
    json document{{"ports", json::array()}};
    for (int i = 0; i < 50000; ++i) {
        document["ports"].push_back({{"name", "vm" + std::to_string(i)}});
    }
    daemon_.answers("apply", json{{"changed", 1}, {"generation", 1}});
    daemon_.answers("export", document);
    EXPECT_EQ(daemon_.run({"apply", "-"}, document.dump(1)).status, 0);
    EXPECT_EQ(daemon_.asked("apply"), document);
    EXPECT_EQ(daemon_.run({"export"}).parsed(), document);
}

TEST_F(Cli, DiffPrintsOneLineAnObject) {
    daemon_.answers("diff", json::parse(R"([{"op":"add","kind":"port","name":"vm3"},
        {"op":"remove","kind":"acl","name":"old"},
        {"op":"modify","kind":"port","name":"vm1","fields":["mac","ips"]}])"));
    EXPECT_EQ(daemon_.run({"diff", "-"}, "{}").out,
              "+ port vm3\n- acl old\n~ port vm1 (mac,ips)\n");
    EXPECT_EQ(daemon_.run({"diff", "-"}, "{}", true).out.substr(0, 5), "\x1b[32m");
}

TEST_F(Cli, PortNamesGoWhereTheContractSays) {
    daemon_.answers("show.port", json{{"name", "vm1"}});
    daemon_.answers("show.chain", json{{"port", "vm1"}, {"slots", json::array()}});
    daemon_.answers("show.rules", json::array());
    daemon_.answers("flush.conns", json{{"removed", 12345}});
    daemon_.answers("flush.macs", json{{"removed", 0}});
    EXPECT_EQ(daemon_.run({"show", "port", "vm1"}).status, 0);
    EXPECT_EQ(daemon_.asked("show.port"), json({{"name", "vm1"}}));
    EXPECT_EQ(daemon_.run({"show", "chain", "vm1"}).status, 0);
    EXPECT_EQ(daemon_.asked("show.chain"), json({{"port", "vm1"}}));
    EXPECT_EQ(daemon_.run({"show", "rules"}).out, "no rules\n");
    EXPECT_EQ(daemon_.asked("show.rules"), json::object());
    EXPECT_EQ(daemon_.run({"flush", "conns", "vm1"}).out, "removed 12,345\n");
    EXPECT_EQ(daemon_.asked("flush.conns"), json({{"port", "vm1"}}));
    EXPECT_EQ(daemon_.run({"flush", "macs", "web"}).out, "removed 0\n");
    EXPECT_EQ(daemon_.asked("flush.macs"), json({{"port_group", "web"}}));
}

TEST_F(Cli, PortNamedLikeACommandIsAPort) {
    daemon_.answers("show.rules", json::array());
    for (const char* name : {"status", "show", "export", "-"}) {
        EXPECT_EQ(daemon_.run({"show", "rules", name}).status, 0) << name;
        EXPECT_EQ(daemon_.asked("show.rules"), json({{"port", name}}));
    }
    EXPECT_EQ(daemon_.run({"show", "rules", "--", "--odd"}).status, 0);
    EXPECT_EQ(daemon_.asked("show.rules"), json({{"port", "--odd"}}));
}

TEST_F(Cli, OptionsBecomeParameters) {
    daemon_.answers("show.flows", json::array());
    daemon_.answers("show.conns", json::array());
    daemon_.answers("show.drops", json::object());
    EXPECT_EQ(daemon_.run({"show", "flows", "--top", "10"}).out, "no flows\n");
    EXPECT_EQ(daemon_.asked("show.flows"), json({{"top", 10}}));
    EXPECT_EQ(daemon_.run({"show", "conns", "vm1", "--limit=5", "--offset", "2"}).out,
              "no connections\n");
    EXPECT_EQ(daemon_.asked("show.conns"), json({{"port", "vm1"}, {"limit", 7}, {"cursor", 0}}));
    EXPECT_EQ(daemon_.run({"show", "drops", "--audit"}).out, "no drops\n");
    EXPECT_EQ(daemon_.asked("show.drops"), json({{"audit", true}}));
}

TEST_F(Cli, ChainShowsItsSlots) {
    json slots = json::array();
    for (int i = 0; i < 16; ++i) {
        slots.push_back({{"slot", i},
                         {"name", "slot-" + std::to_string(i)},
                         {"state", "empty"},
                         {"on_failure", "closed"},
                         {"from_vm", {{"packets", 1000 + i}, {"drops", 2}}},
                         {"to_vm", {{"packets", 0}, {"drops", 0}}}});
    }
    daemon_.answers("show.chain", json{{"port", "vm1"}, {"slots", slots}});
    const Transcript run = daemon_.run({"show", "chain", "vm1"});
    EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 18);
    EXPECT_TRUE(
        contains(run.out, "  15  slot-15  empty  closed        1,015      2      0      0\n"))
        << run.out;
}

TEST_F(Cli, DropsAreListedByReasonWithoutZeros) {
    daemon_.answers("show.drops", json{{"spoofed_mac", 12345}, {"bad_icmp", 0}});
    EXPECT_EQ(daemon_.run({"show", "drops"}).out, "REASON       PACKETS\nspoofed_mac   12,345\n");
}

TEST_F(Cli, AuditSaysWhetherTheBooksBalance) {
    const char* balanced =
        R"({"received":10,"created":0,"sent":8,"consumed":1,"dropped":1,"held":0,"unaccounted":0})";
    daemon_.answers("show.drops", json::parse(balanced));
    EXPECT_TRUE(contains(daemon_.run({"show", "drops", "--audit"}).out, "books balance\n"));
    FakeDaemon other;
    auto wrong = json::parse(balanced);
    wrong["unaccounted"] = -2;
    other.answers("show.drops", wrong);
    EXPECT_TRUE(
        contains(other.run({"show", "drops", "--audit"}).out, "-2 packets unaccounted for\n"));
}

TEST_F(Cli, TablesOfTheOtherCommands) {
    daemon_.answers("show.ports",
                    json::parse(R"([{"name":"vm1","port_group":"web","kind":"vhost","state":"up",
        "mac":"02:00:00:00:00:01","ips":["10.0.0.1","10.0.0.2"],"rx_packets":1234567,"rx_bytes":88000000,
        "tx_packets":5,"tx_bytes":300,"drops":{"spoofed_mac":2,"bad_icmp":3}}])"));
    const auto ports = daemon_.run({"show", "ports"}).out;
    for (const char* part : {"10.0.0.1,10.0.0.2", "1,234,567", "88.0 MB", "300 B", "    5  -\n"}) {
        EXPECT_TRUE(contains(ports, part)) << part << "\n" << ports;
    }
    daemon_.answers("show.conns",
                    json::parse(R"([{"port":"vm1","proto":"tcp","src":"2001:db8::1","sport":40000,
        "dst":"2001:db8::2","dport":80,"initiator":"in","state":"established","rule":"web-in","packets":9,
        "bytes":1500,"expires_s":86390},{"port":"vm1","proto":"icmp","src":"10.0.0.1","sport":0,"dst":"10.0.0.2",
        "dport":0,"initiator":"out","state":"open","rule":null,"packets":1,"bytes":84,"expires_s":9}])"));
    const auto conns = daemon_.run({"show", "conns"}).out;
    for (const char* part :
         {"[2001:db8::1]:40000", "[2001:db8::2]:80", "23h 59m", "1.50 kB", " 9s\n"}) {
        EXPECT_TRUE(contains(conns, part)) << part << "\n" << conns;
    }
    daemon_.answers("show.workers",
                    json::parse(R"([{"worker":0,"core":1,"busy_cycles":250,"idle_cycles":750,
        "packets":10,"cycles_per_packet":25.4,"flows":2,"sleep_percent":70}])"));
    const auto workers = daemon_.run({"show", "workers"}).out;
    EXPECT_TRUE(contains(workers, "70%")) << workers;
    daemon_.answers("show.flows", json::parse(R"([{"ingress":"vm1","key":{"proto":"tcp","dport":80},
        "program":["connection","count"],"output":"vm2","packets":1,"bytes":64,"idle_s":0}])"));
    EXPECT_TRUE(
        contains(daemon_.run({"show", "flows"}).out, "dport=80 proto=tcp  connection,count"));
    daemon_.answers("show.macs",
                    json::parse(R"([{"source":"static","mac":"02:00:00:00:00:01","port":"vm1"}])"));
    EXPECT_TRUE(contains(daemon_.run({"show", "macs"}).out, "MAC                PORT  SOURCE\n"));
    daemon_.answers("status", json::parse(R"({"version":"0.1.0","uptime_s":125,"generation":4,
        "source":{"kind":"local","state":"ok"},"workers":1,"ports":2,"flows":1000,"connections":3})"));
    EXPECT_TRUE(contains(daemon_.run({"status"}).out,
                         "uptime       2m 05s\ngeneration   4\nsource       local (ok)\n"));
}

// A daemon of another version may leave keys out or change kinds; a table must survive that.
TEST_F(Cli, EveryTableSurvivesOddResults) {
    for (const char* odd : {"null", "[]", "{}", "3", "\"x\"", "[{}]", "[[1],null,{\"name\":{}}]"}) {
        FakeDaemon daemon;
        for (const auto& command : all_commands()) {
            const bool is_shown = command.drive == nullptr || command.words == "show conns";
            if (command.local || !is_shown || command.prepare != nullptr) { continue; }
            if (command.needs_database || command.answer != nullptr) { continue; }  // Made here.
            std::vector<std::string> args;
            std::string word;
            for (std::istringstream words(command.words); words >> word;) { args.push_back(word); }
            std::string method = command.words;
            std::replace(method.begin(), method.end(), ' ', '.');
            for (const auto& argument : command.arguments) {
                if (argument.required) { args.emplace_back("-"); }
            }
            daemon.answers(method, json::parse(odd));
            EXPECT_EQ(daemon.run(args, "{}").status, 0) << command.words << " " << odd;
        }
    }
}

TEST_F(Cli, ControlCharactersNeverReachTheTerminal) {
    daemon_.answers("show.port", json{{"name", "a\x1b[2Jb"}, {"x\x1b", {{"y", "\n"}}}});
    daemon_.answers("show.groups", json::array({json{{"name", "a\x1b[2Jb"}}}));
    daemon_.answers("status", Error{Errc::kState, "bad \x1b[2J", ""});
    EXPECT_FALSE(contains(daemon_.run({"show", "port", "a"}).out, "\x1b"));
    EXPECT_FALSE(contains(daemon_.run({"show", "groups"}).out, "\x1b"));
    EXPECT_FALSE(contains(daemon_.run({"status"}).err, "\x1b"));
}

TEST_F(Cli, UnknownMethodNamesTheVersion) {
    const Transcript run = daemon_.run({"health"});
    EXPECT_EQ(run.status, 1);
    EXPECT_EQ(run.err, "sluice: sluiced does not know health: is it of another version?\n");
}

json health_of(bool is_well) {
    const json check{{"name", "worker_0"}, {"ok", is_well}, {"detail", "worker 0: as it is"}};
    return json{{"healthy", is_well}, {"checks", json::array({check})}};
}

TEST_F(Cli, HealthOfAWellSwitchIsExitZero) {
    daemon_.answers("health", health_of(true));
    const Transcript run = daemon_.run({"health"});
    EXPECT_EQ(run.status, 0);
    EXPECT_TRUE(contains(run.out, "healthy: packets move\n")) << run.out;
    EXPECT_EQ(daemon_.run({"health", "--within", "soon"}).status, 2) << "bad usage";
}

TEST_F(Cli, HealthOfAnIllSwitchIsExitOneWithReasons) {
    daemon_.answers("health", health_of(false));
    const Transcript run = daemon_.run({"health"});
    EXPECT_EQ(run.status, 1);
    EXPECT_TRUE(contains(run.out, "not healthy: worker 0: as it is\n")) << run.out;
    EXPECT_EQ(run.err, "");
    const Transcript as_json = daemon_.run({"-o", "json", "health"});
    EXPECT_EQ(as_json.status, 1);
    EXPECT_EQ(json::parse(as_json.out), health_of(false));
}

TEST_F(Cli, HealthOfAnOddAnswerIsNone) {
    daemon_.answers("health", json());
    EXPECT_EQ(daemon_.run({"health"}).status, 1);
}

TEST(CliAlone, HealthOfNobodyIsExitTwo) {
    const Transcript run = FakeDaemon::run_anywhere({"--socket", "/tmp/none.sock", "health"});
    EXPECT_EQ(run.status, 2);
    EXPECT_TRUE(contains(run.err, "cannot reach sluiced at /tmp/none.sock")) << run.err;
}

TEST(CliAlone, NoDaemonSaysHowToMend) {
    const Transcript run = FakeDaemon::run_anywhere({"--socket", "/tmp/none.sock", "status"});
    EXPECT_EQ(run.status, 1);
    EXPECT_TRUE(contains(run.err, "cannot reach sluiced at /tmp/none.sock")) << run.err;
    EXPECT_TRUE(contains(run.err, "is sluiced running")) << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1);
}

TEST(CliAlone, BadUsageIsExitTwo) {
    const std::vector<std::vector<std::string>> wrong{
        {},
        {"show"},
        {"nonsense"},
        {"show", "port"},
        {"show", "port", "a", "b"},
        {"show", "flows", "--top", "x"},
        {"show", "flows", "--top", "-1"},
        {"show", "flows", "--top"},
        {"apply"},
        {"-o", "xml", "status"},
        {"--timeout", "0", "status"},
        {"status", "--nonsense"},
        {"log-level"},
        {"completion", "tcsh"},
    };
    for (const auto& args : wrong) {
        const Transcript run = FakeDaemon::run_anywhere(args);
        EXPECT_EQ(run.status, 2) << testing::PrintToString(args);
        EXPECT_EQ(run.out, "");
        EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    }
}

TEST(CliAlone, MistypedWordsGetASuggestion) {
    const auto err = [](std::vector<std::string> args) {
        return FakeDaemon::run_anywhere(args).err;
    };
    EXPECT_EQ(err({"aply", "x"}), "sluice: unknown command aply: did you mean apply?\n");
    EXPECT_EQ(err({"show", "prots"}), "sluice: unknown command show prots: did you mean ports?\n");
    EXPECT_EQ(err({"rules"}), "sluice: unknown command rules: did you mean show rules?\n");
    EXPECT_EQ(err({"show", "flows", "--tpo", "1"}),
              "sluice: show flows: unknown option --tpo: did you mean --top?\n");
    EXPECT_EQ(err({"xyzzy"}), "sluice: unknown command xyzzy: see sluice --help\n");
}

TEST(CliAlone, SaysWhatIsAboutAFleet) {
    const auto err = [](const std::vector<std::string>& args) {
        const Transcript run = FakeDaemon::run_anywhere(args);
        EXPECT_EQ(run.status, 2);
        return run.err;
    };
    EXPECT_EQ(err({"fleet", "hosts"}), "sluice: fleet hosts: --db is required\n");
    EXPECT_EQ(
        err({"apply", "--wait", "x"}),
        "sluice: apply: --wait is about a fleet and needs --db; a daemon's apply returns when "
        "it is in force\n");
    EXPECT_TRUE(contains(err({"--db", "unix:/x", "show", "ports"}), "unknown option --db"));
    EXPECT_TRUE(contains(err({"--db", "x", "export"}), "x"));
}

TEST(CliAlone, EveryCommandHasHelpWithAnExample) {
    for (const auto& command : all_commands()) {
        std::vector<std::string> args;
        std::string word;
        for (std::istringstream words(command.words); words >> word;) { args.push_back(word); }
        args.emplace_back("--help");
        const Transcript run = FakeDaemon::run_anywhere(args);
        EXPECT_EQ(run.status, 0) << command.words;
        EXPECT_TRUE(contains(run.out, "Examples:\n  sluice ")) << command.words;
        EXPECT_TRUE(contains(FakeDaemon::run_anywhere({"--help"}).out, "  " + command.words));
    }
    EXPECT_TRUE(contains(FakeDaemon::run_anywhere({"help", "show", "conns"}).out, "--limit N"));
    EXPECT_EQ(FakeDaemon::run_anywhere({"--version"}).out.substr(0, 7), "sluice ");
}

}  // namespace
}  // namespace sluice::cli
