// SPDX-License-Identifier: Apache-2.0
// Loading of in-process services: what is refused, by name, and that what is loaded can be asked.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "datapath/service_module.h"

namespace sluice::datapath {
namespace {

const std::string kFolder = SLUICE_TEST_SERVICES;

std::string refusal(const std::string& name, const std::string& folder = kFolder) {
    const auto loaded = ServiceModule::load(folder, name);
    if (loaded.ok()) { return "loaded"; }
    EXPECT_EQ(loaded.error().object, "service module " + name);
    return loaded.error().message;
}

TEST(ModuleLoad, RefusesByName) {
    EXPECT_EQ(refusal("nobody"), "service module nobody: " + kFolder + "/nobody.so does not exist");
    EXPECT_EQ(refusal("no_symbol"), "service module no_symbol: " + kFolder +
                                        "/no_symbol.so does not export sluice_service");
    EXPECT_EQ(refusal("other_abi"), "service module other_abi: abi_version 2 is not 1");
    EXPECT_EQ(refusal("other_name"), "service module other_name: names itself \"somebody\"");
    EXPECT_EQ(refusal("no_inspect"),
              "service module no_inspect: lacks one of open, close, decide and inspect");
    EXPECT_EQ(refusal("large_state"),
              "service module large_state: state_size 4097 is more than 4096");
    EXPECT_EQ(refusal("throws_open"), "service module throws_open: open threw an exception");
}

TEST(ModuleLoad, LoadsTheExample) {
    const auto loaded = ServiceModule::load(kFolder, "dns-filter");
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(loaded.value()->name(), "dns-filter");
    EXPECT_EQ(loaded.value()->version(), "1.0");
    EXPECT_FALSE(loaded.value()->rests(0));
}

TEST(ModuleLoad, WhatAModuleSaysOfItsConfigurationIsTold) {
    const auto folder =
        std::filesystem::temp_directory_path() / ("services-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    std::filesystem::copy_file(kFolder + "/dns-filter.so", folder / "dns-filter.so");
    std::ofstream(folder / "dns-filter.conf") << "good.example\nbad name\n";
    EXPECT_EQ(refusal("dns-filter", folder),
              "service module dns-filter: does not open: line 2: \"bad name\" is not a DNS name");
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::datapath
