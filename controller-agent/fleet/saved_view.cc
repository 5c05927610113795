// SPDX-License-Identifier: Apache-2.0
// SavedView: see saved_view.h.
#include "controller-agent/fleet/saved_view.h"

#include <algorithm>
#include <charconv>

#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

std::string_view take_until(std::string_view& text, char end) {
    const std::size_t at = std::min(text.find(end), text.size());
    const std::string_view word = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return word;
}

void read_vtep(std::string_view line, SavedView& view) {
    const std::string_view on = take_until(line, ' ');
    if (!on.empty() && parse_ip(line)) { view.remote_vteps[std::string(on)].emplace(line); }
}

void read_binding(std::string_view line, SavedView& view) {
    FleetBinding binding;
    binding.segment = take_until(line, ' ');
    const auto mac = parse_mac(take_until(line, ' '));
    const std::string_view vtep_text = take_until(line, ' ');
    const auto vtep = vtep_text == "-" ? IpAddr{} : parse_ip(vtep_text);
    if (!mac || !vtep || binding.segment.empty()) { return; }
    binding.mac = *mac;
    binding.vtep = *vtep;
    while (!line.empty()) {
        const auto ip = parse_ip(take_until(line, ' '));
        if (!ip) { return; }
        binding.ips.push_back(*ip);
    }
    view.bindings.push_back(std::move(binding));
}

}  // namespace

std::string saved_head(std::int64_t epoch, const RemoteVteps& remote_vteps) {
    std::string text = "epoch " + std::to_string(epoch) + '\n';
    for (const auto& [on, ips] : remote_vteps) {
        for (const std::string& ip : ips) { text.append("vtep ").append(on) += ' ' + ip + '\n'; }
    }
    return text;
}

void append_saved(std::string& text, const std::vector<FleetBinding>& bindings) {
    for (const FleetBinding& each : bindings) {
        text.append("at ").append(each.segment) += ' ' + to_string(each.mac) + ' ';
        text += each.vtep == IpAddr{} ? "-" : to_string(each.vtep);
        for (const IpAddr& ip : each.ips) { text += ' ' + to_string(ip); }
        text += '\n';
    }
}

SavedView parse_saved(std::string_view text) {
    SavedView view;
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        const std::string_view word = take_until(line, ' ');
        if (word == "epoch") {
            std::from_chars(line.data(), line.data() + line.size(), view.epoch);
        } else if (word == "vtep") {
            read_vtep(line, view);
        } else if (word == "at") {
            read_binding(line, view);
        }
    }
    return view;
}

}  // namespace sluice::fleet
