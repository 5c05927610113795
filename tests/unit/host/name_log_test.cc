// SPDX-License-Identifier: Apache-2.0
// NameLog: the next process gives the same numbers to the same names, whatever happened to the
// file.
#include "src/host/name_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace sluice::host {
namespace {

namespace fs = std::filesystem;

class NameLogFile : public testing::Test {
protected:
    NameLogFile() {
        std::string name = testing::TempDir() + "names-XXXXXX";
        folder_ = mkdtemp(name.data());
        path_ = folder_ + "/names";
    }
    ~NameLogFile() override { fs::remove_all(folder_); }

    /// One process: what it knew, and what it adds.
    struct Life {
        Registries registries;
        datapath::Snapshot before;
        NameLog log;
    };
    void begin(Life& life) {
        ASSERT_TRUE(life.log.load(path_));
        life.log.restore(life.registries, life.before);
    }

    std::string folder_;
    std::string path_;
};

RuleName rule(int number) { return {"section", "rule-" + std::to_string(number)}; }

TEST_F(NameLogFile, NumbersStayWithTheirNames) {
    PortIndex vm2;
    DomainId net, vni, router;
    RuleId last;
    {
        Life life;
        begin(life);
        EXPECT_TRUE(life.log.is_empty());
        for (int i = 0; i < 5; ++i) {
            (void)life.registries.ports.acquire("vm" + std::to_string(i));
        }
        vm2 = life.registries.ports.find("vm2");
        net = life.registries.domains.acquire("dvs0", {0, 10});
        vni = life.registries.domains.acquire("dvs0", {5001, 0});
        router = life.registries.domains.acquire_named("router ldr1");
        for (int i = 0; i < 1000; ++i) { last = life.registries.rules.acquire(rule(i)); }
        ASSERT_TRUE(life.log.write(life.registries));
        life.registries.ports.release("vm0");
        life.registries.rules.keep_only({life.registries.rules.find(rule(7)), last});
        ASSERT_TRUE(life.log.write(life.registries));
    }
    Life life;
    begin(life);
    EXPECT_EQ(life.registries.ports.find("vm0"), kNoPort);
    EXPECT_EQ(life.registries.ports.find("vm2"), vm2);
    EXPECT_EQ(life.registries.domains.acquire("dvs0", {0, 10}), net);
    EXPECT_EQ(life.registries.domains.acquire("dvs0", {5001, 0}), vni);
    EXPECT_EQ(life.registries.domains.acquire_named("router ldr1"), router);
    EXPECT_EQ(life.registries.rules.find(rule(999)), last);
    EXPECT_EQ(*life.registries.rules.name_of(last), rule(999));
    EXPECT_EQ(life.registries.rules.find(rule(8)).value, 0U);
    EXPECT_GT(life.registries.domains.acquire("dvs1", {0, 1}).value, router.value);
    EXPECT_GT(life.registries.ports.acquire("vm9").value, 4);  // Not one that somebody has.
    EXPECT_GT(life.registries.rules.acquire(rule(2000)).value, last.value);
}

TEST_F(NameLogFile, ATornEndCostsNoMoreThanItself) {
    PortIndex vm1;
    std::uintmax_t whole = 0;
    {
        Life life;
        begin(life);
        vm1 = life.registries.ports.acquire("vm1");
        ASSERT_TRUE(life.log.write(life.registries));
        whole = fs::file_size(path_);
        (void)life.registries.ports.acquire("vm2");
        ASSERT_TRUE(life.log.write(life.registries));
    }
    for (std::uintmax_t size = fs::file_size(path_) - 1; size >= whole; --size) {
        fs::resize_file(path_, size);
        Life life;
        begin(life);
        EXPECT_EQ(life.registries.ports.find("vm1"), vm1);
        EXPECT_EQ(life.registries.ports.find("vm2"), kNoPort);
        EXPECT_EQ(fs::file_size(path_), whole);
    }
}

TEST_F(NameLogFile, HistoryIsLeftOutAtTheNextStart) {
    {
        Life life;
        begin(life);
        (void)life.registries.ports.acquire("stays");
        for (int i = 0; i < 500; ++i) {
            (void)life.registries.ports.acquire("passes");
            life.registries.ports.release("passes");
        }
        ASSERT_TRUE(life.log.write(life.registries));
    }
    const std::uintmax_t long_size = fs::file_size(path_);
    {
        Life life;
        begin(life);
        EXPECT_LT(fs::file_size(path_), long_size / 100);
        (void)life.registries.ports.acquire("comes");
        ASSERT_TRUE(life.log.write(life.registries));  // To the new file.
    }
    Life life;
    begin(life);
    EXPECT_NE(life.registries.ports.find("stays"), kNoPort);
    EXPECT_NE(life.registries.ports.find("comes"), kNoPort);
}

TEST_F(NameLogFile, HistoryIsLeftOutAsItGrows) {
    {
        Life life;
        begin(life);
        (void)life.registries.ports.acquire("stays");
        for (std::size_t i = 0; i < kNameHistoryMax; ++i) {
            (void)life.registries.ports.acquire("passes");
            life.registries.ports.release("passes");
            if (i % 1000 == 0) { ASSERT_TRUE(life.log.write(life.registries)); }
        }
        (void)life.registries.ports.acquire("comes");
        ASSERT_TRUE(life.log.write(life.registries));
        EXPECT_LT(fs::file_size(path_), kNameHistoryMax * 64U);
    }
    Life life;
    begin(life);
    EXPECT_NE(life.registries.ports.find("stays"), kNoPort);
    EXPECT_NE(life.registries.ports.find("comes"), kNoPort);
    EXPECT_EQ(life.registries.ports.find("passes"), kNoPort);
}

TEST_F(NameLogFile, ServicesAndRemotesAreNumberedForTheFirstCompilation) {
    {
        Life life;
        begin(life);
        datapath::Snapshot next;
        next.service_instances.resize(4);
        next.service_instances[3].name = "fw1";
        next.remotes.resize(3);
        next.remotes[2].ip.family = IpFamily::kV4;
        next.remotes[2].ip.bytes[15] = 9;
        ASSERT_TRUE(life.log.write(life.registries, life.before, next));
    }
    Life life;
    begin(life);
    ASSERT_EQ(life.before.service_instances.size(), 4U);
    EXPECT_EQ(life.before.service_instances[3].name, "fw1");
    ASSERT_EQ(life.before.remotes.size(), 3U);
    EXPECT_EQ(life.before.remotes[2].ip.bytes[15], 9);
}

}  // namespace
}  // namespace sluice::host
