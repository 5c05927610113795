// SPDX-License-Identifier: Apache-2.0
// The local store without faults: what is saved comes back, what is damaged is noticed, order of
// the calls.
#include "controller-agent/local_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "fault_files.h"

namespace sluice::agent {
namespace {

mode_t umask_of_process() {
    const mode_t mask = umask(0);
    umask(mask);
    return mask;
}

class LocalStoreTest : public testing::Test {
protected:
    [[nodiscard]] std::string file(const std::string& name) const {
        return folder_.path() + "/" + name;
    }
    [[nodiscard]] std::string read(const std::string& name) const {
        std::stringstream text;
        text << std::ifstream(file(name)).rdbuf();
        return text.str();
    }
    void write(const std::string& name, const std::string& text) const {
        std::ofstream(file(name)) << text;
    }
    static void save(LocalStore& store, std::uint64_t generation, const std::string& document) {
        const Status status = store.save(generation, document);
        ASSERT_TRUE(status.ok()) << status.error().message;
    }
    [[nodiscard]] Result<Stored> fresh_load() const { return LocalStore(folder_.path()).load(); }

    TemporaryFolder folder_;
    LocalStore store_{folder_.path()};
};

TEST_F(LocalStoreTest, EmptyFolderGivesAnEmptyDocument) {
    ASSERT_TRUE(store_.open().ok());
    const auto stored = store_.load();
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored.value().generation, 0u);
    EXPECT_EQ(stored.value().document, "");
    EXPECT_EQ(store_.load_previous().error().code, Errc::kNotFound);
}

TEST_F(LocalStoreTest, SavedDocumentComesBack) {
    save(store_, 7, "{\"a\": 1}\n");
    const auto stored = fresh_load();
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored.value().generation, 7u);
    EXPECT_EQ(stored.value().document, "{\"a\": 1}\n");
    EXPECT_EQ(stored.value().warning, "");
    struct stat status {};
    ASSERT_EQ(stat(file("host.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0640U & ~umask_of_process());
    EXPECT_NE(stat(file("host.json.new").c_str(), &status), 0);
    EXPECT_NE(stat(file("host.json.keep").c_str(), &status), 0);
}

TEST_F(LocalStoreTest, PreviousIsTheOneBefore) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    save(store_, 3, "three");
    EXPECT_EQ(store_.load().value().document, "three");
    EXPECT_EQ(store_.load_previous().value().document, "two");
    EXPECT_EQ(store_.load_previous().value().generation, 2u);
}

TEST_F(LocalStoreTest, GenerationMustGrow) {
    save(store_, 5, "five");
    EXPECT_EQ(store_.save(5, "x").error().code, Errc::kState);
    EXPECT_EQ(LocalStore(folder_.path()).save(4, "x").error().code, Errc::kState);
    EXPECT_EQ(fresh_load().value().document, "five");
}

TEST_F(LocalStoreTest, AnyDamageIsNoticedAndThePreviousServes) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    const std::string good = read("host.json");
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 0x01);
        write("host.json", bad);
        const auto stored = fresh_load();
        ASSERT_TRUE(stored.ok()) << i;
        EXPECT_EQ(stored.value().document, "one") << i;
        EXPECT_NE(stored.value().warning.find("host.json is damaged"), std::string::npos) << i;
    }
    for (std::size_t size = 0; size < good.size(); ++size) {
        write("host.json", good.substr(0, size));
        EXPECT_EQ(fresh_load().value().document, "one") << size;
    }
    write("host.json", good + "x");
    EXPECT_EQ(fresh_load().value().document, "one");
    write("host.json", good);
    EXPECT_EQ(fresh_load().value().document, "two");
}

TEST_F(LocalStoreTest, MissingFileIsServedByThePrevious) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    std::filesystem::remove(file("host.json"));
    const auto stored = fresh_load();
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored.value().document, "one");
    EXPECT_NE(stored.value().warning.find("host.json is missing"), std::string::npos);
}

TEST_F(LocalStoreTest, BothDamagedIsAnError) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    write("host.json", "");
    write("host.json.previous", "");
    EXPECT_EQ(fresh_load().error().code, Errc::kIo);
}

TEST_F(LocalStoreTest, DamagedFileNeverBecomesThePrevious) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    write("host.json", "garbage");
    LocalStore store(folder_.path());
    ASSERT_TRUE(store.open().ok());
    EXPECT_EQ(store.load().value().document, "one");
    save(store, 3, "three");
    EXPECT_EQ(fresh_load().value().document, "three");
    EXPECT_EQ(store.load_previous().value().document, "one");
}

TEST_F(LocalStoreTest, SaveWithoutLoadLooksFirst) {
    save(store_, 1, "one");
    save(store_, 2, "two");
    write("host.json", "garbage");
    LocalStore store(folder_.path());
    save(store, 3, "three");
    EXPECT_EQ(store.load_previous().value().document, "one");
}

TEST_F(LocalStoreTest, OpenClearsLeftovers) {
    write("host.json.new", "half");
    write("host.json.keep", "half");
    ASSERT_TRUE(store_.open().ok());
    EXPECT_FALSE(std::filesystem::exists(file("host.json.new")));
    EXPECT_FALSE(std::filesystem::exists(file("host.json.keep")));
}

TEST_F(LocalStoreTest, OpenMakesTheFolderButNotItsParents) {
    EXPECT_TRUE(LocalStore(folder_.path() + "/state").open().ok());
    const Status status = LocalStore(folder_.path() + "/no/state").open();
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.error().message.find("/no/state: No such file"), std::string::npos)
        << status.error().message;
}

TEST_F(LocalStoreTest, ContentIsOnDiskBeforeItIsNamed) {
    save(store_, 1, "one");
    FaultFiles files;
    LocalStore store(folder_.path(), files);
    ASSERT_TRUE(store.load().ok());
    files.arm(FaultFiles::Mode::kNone, 0, 0);
    save(store, 2, "two");
    const std::string folder = std::filesystem::path(folder_.path()).filename();
    EXPECT_EQ(files.calls(),
              (std::vector<std::string>{
                  "open host.json.new", "write", "write", "fsync", "close", "unlink host.json.keep",
                  "link host.json host.json.keep", "rename host.json.keep host.json.previous",
                  "rename host.json.new host.json", "open " + folder, "fsync", "close"}));
}

TEST_F(LocalStoreTest, ShortWritesAreContinued) {
    FaultFiles files;
    files.limit_writes(3);
    LocalStore store(folder_.path(), files);
    save(store, 1, std::string(1000, 'x'));
    EXPECT_EQ(fresh_load().value().document, std::string(1000, 'x'));
}

TEST_F(LocalStoreTest, LargeDocument) {
    const std::string document(20U << 20U, 'x');
    save(store_, 1, document);
    EXPECT_TRUE(fresh_load().value().document == document);
}

}  // namespace
}  // namespace sluice::agent
