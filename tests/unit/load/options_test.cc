// SPDX-License-Identifier: Apache-2.0
// The command line: what is understood, and one sentence for what is not.
#include "load/options.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace sluice::load {
namespace {

struct Outcome {
    Parsed parsed;
    std::string out, err;
};

Outcome parse_words(std::vector<const char*> words) {
    words.insert(words.begin(), "sluice-load");
    std::ostringstream out;
    std::ostringstream err;
    Parsed parsed = parse(static_cast<int>(words.size()), words.data(), out, err);
    return {std::move(parsed), out.str(), err.str()};
}

std::string refusal(std::vector<const char*> words) {
    const Outcome outcome = parse_words(std::move(words));
    EXPECT_FALSE(outcome.parsed.options.has_value());
    EXPECT_EQ(outcome.parsed.exit_status, 2);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
    return outcome.err;
}

TEST(LoadOptions, FloodAsDocumented) {
    const auto parsed = parse_words({"flood",
                                     "--a",
                                     "/a,listen",
                                     "--b",
                                     "/b",
                                     "--flows",
                                     "100000",
                                     "--size",
                                     "imix",
                                     "--both",
                                     "--proto",
                                     "tcp",
                                     "--handshake",
                                     "--pps",
                                     "1000",
                                     "--gaps",
                                     "--seconds",
                                     "2.5",
                                     "--warmup",
                                     "0",
                                     "--cpu",
                                     "0",
                                     "--json",
                                     "--start-timeout",
                                     "3",
                                     "--no-mergeable",
                                     "--no-offloads"})
                            .parsed;
    ASSERT_TRUE(parsed.options.has_value());
    const Options& o = *parsed.options;
    EXPECT_EQ(o.mode, Mode::kFlood);
    EXPECT_TRUE(o.a.listen);
    EXPECT_FALSE(o.b.listen);
    EXPECT_EQ(o.flows, 100000U);
    EXPECT_EQ(o.size, 0U);
    EXPECT_TRUE(o.both && o.tcp && o.handshake && o.gaps && o.json);
    EXPECT_FALSE(o.mergeable || o.offloads);
    EXPECT_EQ(o.pps, 1000U);
    EXPECT_EQ(o.seconds, 2.5);
    EXPECT_EQ(o.warmup, 0);
    EXPECT_EQ(o.cpu, 0);
    EXPECT_EQ(o.start_timeout, 3);
}

TEST(LoadOptions, DefaultsOfTheModes) {
    const auto flood = *parse_words({"flood", "--a", "/a", "--b", "/b"}).parsed.options;
    EXPECT_EQ(flood.queue_size, 256U);
    EXPECT_EQ(flood.port, 5000);
    EXPECT_EQ(flood.flows, 1000U);
    EXPECT_EQ(flood.seconds, 5);
    EXPECT_EQ(mac_text(flood.b.mac), "02:00:00:00:00:02");
    const auto crr =
        *parse_words({"crr", "--a", "/a", "--b", "/b", "--port", "80-89"}).parsed.options;
    EXPECT_EQ(crr.queue_size, 1024U);
    EXPECT_EQ(crr.parallel, 256U);
    EXPECT_EQ(crr.port, 80);
    EXPECT_EQ(crr.ports, 10U);
    EXPECT_EQ(parse_words({"tso", "--a", "/a", "--b", "/b"}).parsed.options->flows, 1U);
    const auto noise = *parse_words({"noise", "--cpus", "2,5"}).parsed.options;
    EXPECT_EQ(noise.seconds, 0.2);
    EXPECT_EQ(noise.cpus, (std::vector<int>{2, 5}));
}

TEST(LoadOptions, RefusesWithASentence) {
    EXPECT_EQ(refusal({"flood", "--a", "/a"}), "sluice-load: --b is required\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b", "--size", "63"}),
              "sluice-load: --size 63: expected 64..1518 or, in a flood, imix\n");
    EXPECT_EQ(refusal({"latency", "--a", "/a", "--b", "/b", "--size", "imix"}),
              "sluice-load: --size imix: expected 64..1518 or, in a flood, imix\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/a"}),
              "sluice-load: --a and --b name the same socket /a\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b,mac=02:00:00:00:00:01"}),
              "sluice-load: --a and --b have the same mac 02:00:00:00:00:01\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b", "--handshake"}),
              "sluice-load: --handshake needs --proto tcp\n");
    EXPECT_EQ(refusal({"crr", "--a", "/a", "--b", "/b", "--parallel", "1000"}),
              "sluice-load: --parallel 1000 needs a --queue-size of 2000 or more, it is 1024\n");
    EXPECT_EQ(refusal({"crr", "--a", "/a", "--b", "/b", "--port", "90-80"}),
              "sluice-load: --port 90-80: expected 1..65535 or FIRST-LAST\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b", "--queue-size", "300"}),
              "sluice-load: --queue-size 300: expected a power of two\n");
    EXPECT_EQ(refusal({"noise", "--cpus", "1,1"}),
              "sluice-load: --cpus 1,1: expected two different cores, like 0,1\n");
    EXPECT_EQ(refusal({"tso", "--a", "/a", "--b", "/b", "--no-offloads"}),
              "sluice-load: tso does not go with --no-offloads\n");
    EXPECT_NE(refusal({"flood", "--a", "/a,ip=x", "--b", "/b"}).find("--a: end \"/a,ip=x\""),
              std::string::npos);
    for (const char* leg : {"/s", "/a"}) {
        EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b", "--service", leg, "--service", "/s"}),
                  "sluice-load: --service: a service has two legs, each a socket of its own\n");
    }
    EXPECT_EQ(refusal({"flood", "--a", "/a", "--b", "/b", "--service", "/in"}),
              "sluice-load: --service: a service has two legs, each a socket of its own\n");
    EXPECT_EQ(refusal({"tso", "--a", "/a", "--b", "/b", "--service", "/in", "--service", "/out"}),
              "sluice-load: --service is for flood and crr\n");
    const char* const tunnel = "/b,vxlan=5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01";
    EXPECT_EQ(refusal({"latency", "--a", "/a", "--b", tunnel}),
              "sluice-load: vxlan= is for flood one way without --handshake, and for tso\n");
    EXPECT_EQ(refusal({"flood", "--a", "/a,vxlan=5000/172.16.0.2/172.16.0.1/02:00:00:00:99:01",
                       "--b", tunnel}),
              "sluice-load: --a and --b are both behind a tunnel (vxlan=)\n");
    EXPECT_TRUE(parse_words({"tso", "--a", "/a", "--b", tunnel}).parsed.options.has_value());
    EXPECT_NE(refusal({"gallop"}), "");
    EXPECT_NE(refusal({}), "");
}

TEST(LoadOptions, HelpShowsExamplesAndEndsWell) {
    const Outcome help = parse_words({"--help"});
    EXPECT_EQ(help.parsed.exit_status, 0);
    EXPECT_FALSE(help.parsed.options.has_value());
    EXPECT_NE(help.out.find("sluice-load flood --a"), std::string::npos);
    EXPECT_EQ(help.err, "");
}

// Words of --help that begin with "--".
std::vector<std::string> options_of(const char* mode) {
    std::istringstream text(parse_words({mode, "--help"}).out);
    std::vector<std::string> found;
    for (std::string word; text >> word;) {
        word = word.substr(0, word.find_first_of(",;:.)"));
        if (word.starts_with("-h")) { continue; }
        if (word.size() > 2 && word.starts_with("--")) { found.push_back(word.substr(2)); }
    }
    return found;
}

TEST(LoadOptions, ManualPageKnowsEachOption) {
    std::ifstream file(SLUICE_MANUAL);
    const std::string manual((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
    ASSERT_NE(manual, "");
    for (const char* mode : {"flood", "crr", "latency", "tso", "noise"}) {
        const auto options = options_of(mode);
        EXPECT_GE(options.size(), 3U) << mode;
        for (const std::string& option : options) {
            EXPECT_NE(manual.find("Fl \\-" + option), std::string::npos) << mode << ' ' << option;
        }
    }
}

}  // namespace
}  // namespace sluice::load
