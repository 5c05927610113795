// SPDX-License-Identifier: Apache-2.0
// A guest as a message and back, and messages that describe none.
#include "handover/guest.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

namespace sluice::handover {
namespace {

relay::Fd descriptor() { return relay::Fd{eventfd(0, EFD_CLOEXEC)}; }

Guest sample() {
    Guest guest;
    guest.port = "vm1";
    guest.is_up = true;
    guest.handed.qemu = descriptor();
    guest.handed.listener = {descriptor(), 7, 9};
    relay::Message features;
    features.header = {2, relay::kFlagVersion, 0};
    features.set(std::uint64_t{0x1234});
    guest.handed.said.push_back(std::move(features));
    relay::Message memory;
    memory.header = {5, relay::kFlagVersion, 0};
    memory.set(std::uint64_t{0xff00});
    memory.fds.push_back(descriptor());
    memory.fds.push_back(descriptor());
    guest.handed.said.push_back(std::move(memory));
    return guest;
}

TEST(HandoverGuest, IsTheSameBehindIt) {
    Result<Guest> read = to_guest(to_message(sample()));
    ASSERT_TRUE(read.ok()) << read.error().message;
    const Guest& guest = read.value();
    EXPECT_EQ(guest.port, "vm1");
    EXPECT_TRUE(guest.is_up);
    EXPECT_TRUE(guest.handed.qemu.valid());
    EXPECT_TRUE(guest.handed.listener.socket.valid());
    EXPECT_EQ(guest.handed.listener.device, 7U);
    EXPECT_EQ(guest.handed.listener.inode, 9U);
    ASSERT_EQ(guest.handed.said.size(), 2U);
    EXPECT_EQ(guest.handed.said[0].as<std::uint64_t>(), 0x1234U);
    EXPECT_EQ(guest.handed.said[0].header.size, 8U);
    EXPECT_EQ(guest.handed.said[1].as<std::uint64_t>(), 0xff00U);
    EXPECT_EQ(guest.handed.said[1].fds.size(), 2U);
}

TEST(HandoverGuest, MayBeAbsent) {
    Guest guest;
    guest.port = "vm2";
    Result<Guest> read = to_guest(to_message(std::move(guest)));
    ASSERT_TRUE(read.ok());
    EXPECT_FALSE(read.value().handed.qemu.valid());
    EXPECT_FALSE(read.value().handed.listener.socket.valid());
}

TEST(HandoverGuest, WithADescriptorTooFewOrTooManyIsRefused) {
    Message few = to_message(sample());
    few.fds.pop_back();
    EXPECT_FALSE(to_guest(std::move(few)).ok());
    Message many = to_message(sample());
    many.fds.push_back(descriptor());
    EXPECT_FALSE(to_guest(std::move(many)).ok());
}

TEST(HandoverGuest, WithoutAKeyOrWithAWrongOneIsRefused) {
    for (const char* key : {"port", "is_up", "qemu", "said"}) {
        Message message = to_message(sample());
        message.body.erase(key);
        EXPECT_FALSE(to_guest(std::move(message)).ok()) << key;
        Message other = to_message(sample());
        other.body[key] = 12.5;
        EXPECT_FALSE(to_guest(std::move(other)).ok()) << key;
    }
    for (const nlohmann::json& payload :
         {nlohmann::json("0"), nlohmann::json("zz"), nlohmann::json(1)}) {
        Message message = to_message(sample());
        message.body["said"][0]["payload"] = payload;
        EXPECT_FALSE(to_guest(std::move(message)).ok()) << payload;
    }
    Message message = to_message(sample());
    message.body["later"] = "what a newer version says";
    EXPECT_TRUE(to_guest(std::move(message)).ok());
}

}  // namespace
}  // namespace sluice::handover
