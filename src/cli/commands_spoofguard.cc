// SPDX-License-Identifier: Apache-2.0
// spoofguard pending, approve, reject: addresses that wait for the operator's word.
#include <array>

#include "command.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

constexpr std::array kPendingFields{
    Field{"PORT", "port", as_text},
    Field{"IP", "ip", as_text},
    Field{"MAC", "mac", as_text},
    Field{"VLAN", "vlan", as_text, Align::kRight},
    Field{"SOURCE", "source", as_text},
    Field{"REFUSED", "count", as_count, Align::kRight},
    Field{"FIRST", "first_seen_s", as_duration, Align::kRight},
    Field{"LAST", "last_seen_s", as_duration, Align::kRight},
};

void render_pending(const json& result, const View& view) {
    print_rows(result, kPendingFields, view, "nothing waits");
}

void render_rejected(const json& result, const View& view) {
    view.out << "rejected " << as_count(value_at(result, "rejected")) << '\n';
}

}  // namespace

std::vector<Command> spoofguard_commands() {
    const Argument any_port{"PORT", "port", Kind::kText, false, "only of this port", Offer::kPorts};
    const Argument port{"PORT", "port", Kind::kText, true, "name of a port", Offer::kPorts};
    const Argument ips{"IP", "ips", Kind::kTexts, true,
                       "address that waits (several may be given)"};
    return {
        {"spoofguard pending",
         "addresses that SpoofGuard manual refused to a VM, and those that DHCP gave it",
         {any_port},
         {"spoofguard pending", "spoofguard pending vm1"},
         render_pending},
        {"spoofguard approve",
         "make waiting addresses the port's own: they join its ips in the document",
         {port, ips},
         {"spoofguard approve vm1 10.0.0.7", "spoofguard approve vm1 10.0.0.7 2001:db8::7"},
         render_applied},
        {"spoofguard reject",
         "take waiting addresses off the list; they come back after `flush bindings` only",
         {port, ips},
         {"spoofguard reject vm1 10.0.0.66"},
         render_rejected},
    };
}

}  // namespace sluice::cli
