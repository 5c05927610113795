// SPDX-License-Identifier: Apache-2.0
// The sizes of the design compile: 100 k routes, a million bindings behind thousands of remote
// VTEPs; and a second compilation of the same finds that nothing changed.
#include <gtest/gtest.h>

#include "controller-agent/check_document.h"
#include "datapath/route_table.h"
#include "datapath/vtep_port.h"
#include "sluice/net/address_text.h"
#include "src/host/compile.h"

namespace sluice::host {
namespace {

constexpr std::uint32_t kRemotes = 5000;

model::Binding binding(std::uint32_t number) {
    model::Binding item;
    item.port_group = "web";
    item.ip = IpAddr::v4(0x0a800000U + number);
    item.name = "web/" + to_string(item.ip);
    item.mac.bytes = {2,
                      0,
                      static_cast<std::uint8_t>(number >> 16U),
                      static_cast<std::uint8_t>(number >> 8U),
                      static_cast<std::uint8_t>(number),
                      9};
    item.vtep = IpAddr::v4(0xac110000U + 2 + number % kRemotes);
    return item;
}

model::Route route(std::uint32_t number) {
    model::Route item;
    item.prefix = {IpAddr::v4(0x14000000U + (number << 8U)), 24};
    item.name = to_string(item.prefix);
    item.next_hops = {IpAddr::v4(0x0a000001U + number % 100), IpAddr::v4(0x0a0000c8U)};
    return item;
}

model::Document document() {
    model::Document d;
    d.uplinks = {{"up0", "net_null0"}};
    d.vteps.resize(1);
    d.vteps[0].name = "tep0";
    d.vteps[0].address = {IpAddr::v4(0xac110001), 16};
    d.vteps[0].mac = model::default_mac("tep0");
    d.vteps[0].uplink = "up0";
    d.switches.resize(1);
    d.switches[0].name = "s";
    d.switches[0].uplinks = {"up0"};
    d.port_groups.resize(1);
    d.port_groups[0].name = "web";
    d.port_groups[0].switch_name = "s";
    d.port_groups[0].vni = 5001;
    for (std::uint32_t i = 0; i < kStaticBindingMax; ++i) { d.bindings.push_back(binding(i)); }
    d.routers.resize(1);
    d.routers[0].name = "r";
    d.routers[0].interfaces = {{"gw", "web", {{IpAddr::v4(0x0a0000fe), 24}}, {}}};
    for (std::uint32_t i = 0; i < kRouteMax; ++i) { d.routers[0].routes.push_back(route(i)); }
    return d;
}

TEST(CompileScale, RoutesAndBindingsOfTheDesign) {
    const model::Document whole = document();
    const Status checked = agent::check_document(whole, {});
    ASSERT_TRUE(checked.ok()) << checked.error().message;
    Registries registries;
    const auto uplink = std::make_shared<datapath::VtepPort>();
    const auto build = [&](const datapath::Snapshot& previous) {
        return host::compile(
            whole, previous, 1, registries,
            [](const model::Port&) {
                return Result<std::shared_ptr<datapath::Port>>(std::shared_ptr<datapath::Port>());
            },
            [&](const std::string&) { return uplink; });
    };
    const auto first = build(datapath::Snapshot{});
    ASSERT_TRUE(first.ok()) << first.error().message;
    const datapath::Snapshot& snapshot = *first.value().snapshot;
    EXPECT_EQ(snapshot.routers[0].routes->rows().size(), kRouteMax + 1);
    EXPECT_EQ(snapshot.domains[0].macs.rows().size(), kStaticBindingMax);
    EXPECT_EQ(snapshot.remotes.size(), kRemotes + 1);
    const auto second = build(snapshot);
    ASSERT_TRUE(second.ok()) << second.error().message;
    EXPECT_EQ(second.value().snapshot->domains[0].epoch, snapshot.domains[0].epoch);
    EXPECT_EQ(second.value().snapshot->routers[0].routes, snapshot.routers[0].routes);
    EXPECT_TRUE(second.value().snapshot->differences.empty());
}

}  // namespace
}  // namespace sluice::host
