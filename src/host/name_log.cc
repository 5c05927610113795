// SPDX-License-Identifier: Apache-2.0
// NameLog: see name_log.h.
#include "src/host/name_log.h"

#include <malloc.h>

#include <algorithm>
#include <map>
#include <utility>

namespace sluice::host {
namespace {

using Record = RecordLog::Record;

constexpr std::uint64_t kGone = ~std::uint64_t{0};  // The name has no number any more.

Record to_record(const NameChange& change) {
    return {static_cast<std::uint8_t>(change.kind), change.is_gone ? kGone : change.number,
            change.key};
}

std::string text_of(const IpAddr& ip) {
    std::string out(1, static_cast<char>(ip.family));
    out.append(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size());
    return out;
}

IpAddr ip_of(const std::string& text) {
    IpAddr ip;
    if (text.size() != ip.bytes.size() + 1U) { return ip; }
    ip.family = static_cast<IpFamily>(text[0]);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(text.data()) + 1, ip.bytes.size(),
                ip.bytes.begin());
    return ip;
}

// A number of a list: its name, empty if it is free.
void compare(NameKind kind, std::size_t index, const std::string& before, const std::string& now,
             std::vector<Record>& out) {
    if (before == now) { return; }
    const auto number = static_cast<std::uint8_t>(kind);
    if (!before.empty()) { out.push_back({number, kGone, before}); }
    if (!now.empty()) { out.push_back({number, index, now}); }
}

template <typename List, typename NameOf>
void compare_lists(NameKind kind, const List& before, const List& now, const NameOf& name_of,
                   std::vector<Record>& out) {
    for (std::size_t i = 1; i < std::max(before.size(), now.size()); ++i) {
        compare(kind, i, i < before.size() ? name_of(before[i]) : "",
                i < now.size() ? name_of(now[i]) : "", out);
    }
}

const auto kNameOf = [](const auto& config) { return config.name; };
const auto kIpOf = [](const datapath::RemoteVtep& remote) {
    return remote.ip == IpAddr{} ? std::string() : text_of(remote.ip);
};

// The element of a number that a record gives; null if the number is out of bounds.
template <typename List>
typename List::value_type* place(List& list, std::uint64_t number, std::size_t max) {
    if (number == 0 || number > max) { return nullptr; }
    if (list.size() <= number) { list.resize(number + 1U); }
    return &list[number];
}

void give_back(const NameChange& name, Registries& registries, datapath::Snapshot& previous) {
    switch (name.kind) {
        case NameKind::kPort: registries.ports.restore(name); break;
        case NameKind::kDomain: registries.domains.restore(name); break;
        case NameKind::kRule: registries.rules.restore(name); break;
        case NameKind::kServiceInstance:
            if (auto* to = place(previous.service_instances, name.number, kServiceInstanceMax)) {
                to->name = name.key;
            }
            break;
        case NameKind::kServiceRule:
            if (auto* to = place(previous.service_rules, name.number, kServiceRuleMax)) {
                to->name = name.key;
            }
            break;
        case NameKind::kRemote:
            if (auto* to = place(previous.remotes, name.number, kRemoteVtepMax)) {
                to->ip = ip_of(name.key);
            }
            break;
    }
}

// Records from which on a file with so many live ones is mostly history.
std::size_t history_limit(std::size_t live) { return std::max(kNameHistoryMax, live * 4U); }

// The last word on each name that has a number.
std::vector<Record> live_of(const std::vector<Record>& records) {
    std::map<std::pair<std::uint8_t, std::string>, std::uint64_t> last;
    for (const Record& record : records) { last[{record.kind, record.key}] = record.number; }
    std::vector<Record> live;
    for (const auto& [name, number] : last) {
        if (number == kGone || name.first < kNameKindMin || name.first > kNameKindMax) { continue; }
        live.push_back({name.first, number, name.second});
    }
    return live;
}

}  // namespace

Status NameLog::load(const std::string& path, bool may_rewrite) {
    Result<std::vector<Record>> loaded = log_.load(path);
    if (!loaded) { return loaded.error(); }
    const std::vector<Record> live = live_of(loaded.value());
    for (const Record& record : live) {
        names_.push_back({static_cast<NameKind>(record.kind), record.number, record.key, false});
    }
    record_count_ = loaded.value().size();
    shorten_at_ = history_limit(live.size());
    const bool is_short = live.size() * 2U > loaded.value().size() || live.empty();
    if (is_short || !may_rewrite) { return Ok{}; }
    record_count_ = live.size();
    return log_.rewrite(live);
}

void NameLog::restore(Registries& registries, datapath::Snapshot& previous) {
    const auto order = [](const NameChange& name) {  // A rule's slot: registries fill from below.
        return name.kind == NameKind::kRule ? name.number & ((1U << kRuleSlotBits) - 1U)
                                            : name.number;
    };
    std::sort(names_.begin(), names_.end(),
              [&](const NameChange& a, const NameChange& b) { return order(a) < order(b); });
    for (const NameChange& name : names_) { give_back(name, registries, previous); }
    names_ = {};
}

Status NameLog::append(const std::vector<Record>& records) {
    if (Status written = log_.append(records); !written) { return written; }
    record_count_ += records.size();
    if (!log_.is_open() || record_count_ < shorten_at_) { return Ok{}; }
    Status shortened = shorten();
    ::malloc_trim(0);  // A hundred thousand records are 10 MB, which nobody needs again soon.
    return shortened;
}

Status NameLog::shorten() {
    const Result<std::vector<Record>> all = log_.read();
    if (!all) { return all.error(); }
    const std::vector<Record> live = live_of(all.value());
    record_count_ = live.size();
    shorten_at_ = history_limit(live.size());
    return log_.rewrite(live);
}

Status NameLog::write(Registries& registries) {
    std::vector<Record> records;
    const auto take = [&records](const std::vector<NameChange>& changes) {
        for (const NameChange& change : changes) { records.push_back(to_record(change)); }
    };
    take(registries.ports.take_changes());
    take(registries.domains.take_changes());
    take(registries.rules.take_changes());
    return append(records);
}

Status NameLog::write(Registries& registries, const datapath::Snapshot& previous,
                      const datapath::Snapshot& next) {
    std::vector<Record> records;
    compare_lists(NameKind::kServiceInstance, previous.service_instances, next.service_instances,
                  kNameOf, records);
    compare_lists(NameKind::kServiceRule, previous.service_rules, next.service_rules, kNameOf,
                  records);
    compare_lists(NameKind::kRemote, previous.remotes, next.remotes, kIpOf, records);
    if (Status written = append(records); !written) { return written; }
    return write(registries);
}

}  // namespace sluice::host
