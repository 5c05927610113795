// SPDX-License-Identifier: Apache-2.0
// What travels between the daemon and its privileged helper: requests come back as they were
// written, what is malformed is refused, and the helper answers every request with one sentence.
#include "privileged/message.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "privileged/helper.h"
#include "sluice/net/address_text.h"

namespace sluice::privileged {
namespace {

InterfaceSpec spec() {
    InterfaceSpec one;
    one.netns = "storage";
    one.name = "vmk0";
    one.mac = *parse_mac("02:00:00:00:00:01");
    one.mtu = 9000;
    one.addresses = {{*parse_ip("10.0.9.1"), 24}, {*parse_ip("2001:db8::1"), 64}};
    return one;
}

Request request() { return make_request(7, Operation::kOpen, 0, spec()); }

TEST(Message, ARequestComesBackAsItWasWritten) {
    const auto read = read_request(request());
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, spec());
}

TEST(Message, TheLargestRequestFits) {
    InterfaceSpec large = spec();
    large.netns = std::string(kNameLengthMax, 'n');
    large.name = std::string(kInterfaceNameMax, 'i');
    large.addresses.assign(kKernelAddressMax, {*parse_ip("10.0.9.1"), 24});
    const auto read = read_request(make_request(1, Operation::kConfigure, 5, large));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, large);
}

TEST(Message, MalformedRequestsAreRefused) {
    const auto is_refused = [](auto spoil) {
        Request bad = request();
        spoil(bad);
        return !read_request(bad);
    };
    EXPECT_TRUE(is_refused([](Request& r) { r.operation = static_cast<Operation>(9); }));
    EXPECT_TRUE(is_refused([](Request& r) { r.name.fill('x'); }));   // No end.
    EXPECT_TRUE(is_refused([](Request& r) { r.netns.fill('x'); }));  // No end.
    EXPECT_TRUE(is_refused([](Request& r) { r.name = {}; }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.name.data(), "tap%d", 6); }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.name.data(), "a:1", 4); }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.name.data(), "a b", 4); }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.name.data(), "a/b", 4); }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.netns.data(), "..", 3); }));
    EXPECT_TRUE(is_refused([](Request& r) { std::memcpy(r.netns.data(), "../x", 5); }));
    EXPECT_TRUE(is_refused([](Request& r) { r.mtu = 100; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.mtu = 65535; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.mac.bytes[0] = 1; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.address_count = kKernelAddressMax + 1; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.addresses[0].family = 5; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.addresses[0].prefix_length = 33; }));
    EXPECT_TRUE(is_refused([](Request& r) { r.addresses[1].prefix_length = 129; }));
}

/// serve() in a thread of this process; it ends with the pair.
class HelperTest : public testing::Test {
protected:
    HelperTest() {
        int pair[2] = {-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        ours_.reset(pair[0]);
        thread_ = std::thread([socket = pair[1]] {
            const relay::Fd its{socket};
            serve(its.get());
        });
    }
    ~HelperTest() override {
        ours_.reset();
        thread_.join();
    }
    Answer answer() {
        Answer answer;
        relay::Fd descriptor;
        EXPECT_EQ(receive_message(ours_.get(), answer, descriptor, true), Received::kMessage);
        EXPECT_FALSE(descriptor.valid());
        return answer;
    }

    relay::Fd ours_;

private:
    std::thread thread_;
};

TEST_F(HelperTest, AMissingNamespaceIsASentence) {
    InterfaceSpec missing = spec();
    missing.netns = "no-such-netns-here";
    ASSERT_TRUE(send_message(ours_.get(), make_request(42, Operation::kOpen, 0, missing)));
    const Answer got = answer();
    EXPECT_EQ(got.id, 42u);
    EXPECT_EQ(got.failed, 1u);
    EXPECT_STREQ(got.message.data(), "netns \"no-such-netns-here\" does not exist in /run/netns");
}

TEST_F(HelperTest, AnInterfaceThatIsTakenIsASentence) {
    InterfaceSpec taken = spec();
    taken.netns = "";
    taken.name = "lo";
    ASSERT_TRUE(send_message(ours_.get(), make_request(1, Operation::kOpen, 0, taken)));
    EXPECT_STREQ(answer().message.data(), "interface name \"lo\" is taken on this host");
}

TEST_F(HelperTest, AnotherInterfaceIsNotTouched) {
    InterfaceSpec foreign = spec();
    foreign.netns = "";
    foreign.name = "lo";
    ASSERT_TRUE(send_message(ours_.get(), make_request(1, Operation::kConfigure, 9999, foreign)));
    EXPECT_STREQ(answer().message.data(), "interface \"lo\" is none that the helper has made");
}

TEST_F(HelperTest, PacketsOfAnotherSizeAreLetGo) {
    ASSERT_EQ(send(ours_.get(), "short", 5, 0), 5);
    std::array<char, sizeof(Request) + 8> large{};
    ASSERT_EQ(send(ours_.get(), large.data(), large.size(), 0), static_cast<ssize_t>(large.size()));
    Request bad = request();
    bad.mtu = 1;
    ASSERT_TRUE(send_message(ours_.get(), bad));
    const Answer got = answer();
    EXPECT_EQ(got.id, bad.id);
    EXPECT_STREQ(got.message.data(), "the helper can't read the request");
}

}  // namespace
}  // namespace sluice::privileged
