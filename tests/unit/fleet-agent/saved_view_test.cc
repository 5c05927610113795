// SPDX-License-Identifier: Apache-2.0
// What an agent keeps on disk reads back as it was written.
#include "controller-agent/fleet/saved_view.h"

#include <gtest/gtest.h>

#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

TEST(FleetSavedView, ReadsBack) {
    const RemoteVteps vteps{{"dvs0", {"172.16.0.2", "fd00::2"}}};
    const std::vector<FleetBinding> bindings{
        {"dvs0/vni5001",
         *parse_mac("02:00:00:00:00:01"),
         {*parse_ip("10.0.0.1"), *parse_ip("fd00::1")},
         *parse_ip("172.16.0.2")},
        {"dvs0/vlan10", *parse_mac("02:00:00:00:00:02"), {}, IpAddr{}}};
    std::string text = saved_head(7, vteps);
    append_saved(text, bindings);
    const SavedView view = parse_saved(text);
    EXPECT_EQ(view.epoch, 7);
    EXPECT_EQ(view.remote_vteps, vteps);
    EXPECT_EQ(view.bindings, bindings);
}

TEST(FleetSavedView, LeavesOutWhatMakesNoSense) {
    const SavedView view = parse_saved(
        "epoch x\nvtep dvs0 nowhere\nat dvs0/vni1 02:00 - 10.0.0.1\nat dvs0/vni1 "
        "02:00:00:00:00:01 - ten\n\nat\nvtep\nmore 1\nat dvs0/vni1 02:00:00:00:00:01 -");
    EXPECT_EQ(view.epoch, 0);
    EXPECT_TRUE(view.remote_vteps.empty());
    ASSERT_EQ(view.bindings.size(), 1u);
    EXPECT_TRUE(view.bindings[0].ips.empty());
}

}  // namespace
}  // namespace sluice::fleet
