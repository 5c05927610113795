// SPDX-License-Identifier: Apache-2.0
// Every cut point of a save: each system call fails once, and the process stops at each system
// call. Whatever happens, a later load gives the old document or the new one, whole, and the next
// save works.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "controller-agent/local_store.h"
#include "fault_files.h"

namespace sluice::agent {
namespace {

using Mode = FaultFiles::Mode;

/// What the folder holds before the save that is cut.
enum class Before { kNothing, kOne, kTwo, kDamaged, kMissing };

struct Scene {
    TemporaryFolder folder;
    FaultFiles files;
    std::string old_document;

    explicit Scene(Before before) {
        LocalStore store(folder.path());
        if (before != Before::kNothing) { EXPECT_TRUE(store.save(1, "one").ok()); }
        if (before == Before::kOne) { old_document = "one"; }
        if (before == Before::kNothing || before == Before::kOne) { return; }
        EXPECT_TRUE(store.save(2, "two").ok());
        old_document = before == Before::kTwo ? "two" : "one";
        const std::string current = folder.path() + "/host.json";
        if (before == Before::kDamaged) { std::filesystem::resize_file(current, 20); }
        if (before == Before::kMissing) { std::filesystem::remove(current); }
    }
};

/// Runs one save with a fault at call `at`; false once `at` is past the last call.
bool cut_at(Before before, Mode mode, std::size_t at, int number) {
    Scene scene(before);
    LocalStore store(scene.folder.path(), scene.files);
    EXPECT_TRUE(store.load().ok());
    scene.files.arm(mode, at, number);
    const Status status = store.save(3, "three");
    const auto calls = scene.files.calls();
    const bool reached = at < calls.size();
    const std::string where = reached ? calls[at] + ", call " + std::to_string(at) : "no fault";

    LocalStore after(scene.folder.path());
    EXPECT_TRUE(after.open().ok()) << where;
    const auto stored = after.load();
    EXPECT_TRUE(stored.ok()) << where << ": " << (stored.ok() ? "" : stored.error().message);
    if (!stored.ok()) { return reached; }
    const std::string& document = stored.value().document;
    EXPECT_TRUE(document == scene.old_document || document == "three") << where << ": " << document;
    if (status.ok()) { EXPECT_EQ(document, "three") << where; }
    if (!status.ok() && mode == Mode::kFail) { EXPECT_EQ(document, scene.old_document) << where; }
    if (!status.ok()) {
        EXPECT_EQ(status.error().code, Errc::kIo) << where;
        EXPECT_NE(status.error().message.find(scene.folder.path()), std::string::npos) << where;
        EXPECT_NE(status.error().message.find(std::strerror(number)), std::string::npos)
            << where << ": " << status.error().message;
    }
    EXPECT_TRUE(after.save(4, "four").ok()) << where;
    EXPECT_EQ(LocalStore(scene.folder.path()).load().value().document, "four") << where;
    return reached;
}

class LocalStoreFault : public testing::TestWithParam<Before> {};

void cut_everywhere(Before before, Mode mode, int number) {
    std::size_t at = 0;
    while (cut_at(before, mode, at, number)) {
        ASSERT_LT(++at, 100u);
        if (testing::Test::HasFailure()) { return; }
    }
    EXPECT_GE(at, 8u);  // A save makes at least these calls.
}

TEST_P(LocalStoreFault, DiskFull) { cut_everywhere(GetParam(), Mode::kFail, ENOSPC); }
TEST_P(LocalStoreFault, InputOutputError) { cut_everywhere(GetParam(), Mode::kFail, EIO); }
TEST_P(LocalStoreFault, Killed) { cut_everywhere(GetParam(), Mode::kStop, EIO); }
TEST_P(LocalStoreFault, KilledInMidWrite) { cut_everywhere(GetParam(), Mode::kShort, EIO); }

TEST_P(LocalStoreFault, SameStoreGoesOnAfterAFailedSave) {
    for (std::size_t at = 0; at < 12; ++at) {
        Scene scene(GetParam());
        LocalStore store(scene.folder.path(), scene.files);
        ASSERT_TRUE(store.load().ok());
        scene.files.arm(Mode::kFail, at, ENOSPC);
        (void)store.save(3, "three");
        scene.files.arm(Mode::kNone, 0, 0);
        const Status status = store.save(4, "four");
        ASSERT_TRUE(status.ok()) << at << ": " << status.error().message;
        EXPECT_EQ(store.load().value().document, "four") << at;
    }
}

// A disk that fails from some call on, and is mended later.
TEST_P(LocalStoreFault, SameStoreGoesOnWhenTheDiskIsMended) {
    for (std::size_t at = 0; at < 12; ++at) {
        Scene scene(GetParam());
        LocalStore store(scene.folder.path(), scene.files);
        ASSERT_TRUE(store.load().ok());
        scene.files.arm(Mode::kStop, at, EIO);
        const bool saved = store.save(3, "three").ok();
        const Status meanwhile = store.save(saved ? 4 : 3, "four");
        if (!saved) {
            ASSERT_FALSE(meanwhile.ok()) << at;
            EXPECT_NE(meanwhile.error().message.find(scene.folder.path()), std::string::npos)
                << at << ": " << meanwhile.error().message;
        }
        scene.files.arm(Mode::kNone, 0, 0);
        const Status status = store.save(saved ? 5 : 3, "five");
        ASSERT_TRUE(status.ok()) << at << ": " << status.error().message;
        EXPECT_EQ(store.load().value().document, "five") << at;
    }
}

std::string name_of(const testing::TestParamInfo<Before>& scene) {
    constexpr const char* kNames[] = {"Nothing", "One", "Two", "Damaged", "Missing"};
    return kNames[static_cast<int>(scene.param)];
}

INSTANTIATE_TEST_SUITE_P(All, LocalStoreFault,
                         testing::Values(Before::kNothing, Before::kOne, Before::kTwo,
                                         Before::kDamaged, Before::kMissing),
                         name_of);

TEST(LocalStoreLoadFault, ReadErrorIsNoDamage) {
    Scene scene(Before::kTwo);
    for (const std::size_t at : {0u, 1u}) {
        LocalStore store(scene.folder.path(), scene.files);
        scene.files.arm(Mode::kFail, at, EACCES);
        const auto stored = store.load();
        ASSERT_FALSE(stored.ok()) << at;
        EXPECT_EQ(stored.error().code, Errc::kIo);
        EXPECT_NE(stored.error().message.find("host.json: Permission denied"), std::string::npos);
        scene.files.arm(Mode::kNone, 0, 0);
    }
}

TEST(LocalStoreLoadFault, InterruptedCallsAreRepeated) {
    Scene scene(Before::kTwo);
    for (std::size_t at = 0; at < 4; ++at) {
        LocalStore store(scene.folder.path(), scene.files);
        scene.files.arm(Mode::kFail, at, EINTR);
        const auto stored = store.load();
        ASSERT_TRUE(stored.ok()) << at << ": " << stored.error().message;
        EXPECT_EQ(stored.value().document, "two");
    }
}

TEST(LocalStoreOpenFault, SaysPathAndReason) {
    TemporaryFolder folder;
    FaultFiles files;
    for (std::size_t at = 0; at < 3; ++at) {
        LocalStore store(folder.path(), files);
        files.arm(Mode::kFail, at, EROFS);
        const Status status = store.open();
        ASSERT_FALSE(status.ok()) << at;
        EXPECT_EQ(status.error().code, Errc::kIo);
        EXPECT_NE(status.error().message.find("Read-only file system"), std::string::npos);
    }
}

}  // namespace
}  // namespace sluice::agent
