// SPDX-License-Identifier: Apache-2.0
// GuestBook: see guest_book.h.
#include "src/sluiced/guest_book.h"

#include <spdlog/spdlog.h>

#include <fstream>
#include <utility>
#include <vector>

namespace sluice::daemon {
namespace {

using Record = host::RecordLog::Record;

enum Kind : std::uint8_t { kVirtio = 1, kProtocol, kQueuePairs, kProcess };

constexpr std::size_t kHistory = 4;  // Times as many records as guests need.

// Not used again while the host runs: the start time (proc(5), field 22) above the pid. 0: unknown.
std::uint64_t identity_of(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(')');  // A name may have blanks and brackets.
    if (pid <= 0 || name_end == std::string::npos) { return 0; }
    std::size_t at = name_end;
    for (int field = 2; field < 22 && at != std::string::npos; ++field) {
        at = line.find(' ', at + 1);
    }
    if (at == std::string::npos) { return 0; }
    return std::strtoull(line.c_str() + at + 1, nullptr, 10) << 22U ^
           static_cast<std::uint64_t>(pid);
}

void put(std::vector<Record>& out, const std::string& port, std::uint64_t process,
         const relay::Offer& offer) {
    out.push_back({kVirtio, offer.virtio, port});
    out.push_back({kProtocol, offer.protocol, port});
    out.push_back({kQueuePairs, offer.queue_pairs, port});
    out.push_back({kProcess, process, port});  // Last: without it the others say nothing.
}

}  // namespace

Status GuestBook::load(const std::string& path) {
    Result<std::vector<Record>> loaded = log_.load(path);
    if (!loaded) { return loaded.error(); }
    std::map<std::string, relay::Offer> offers;
    for (const Record& record : loaded.value()) {
        relay::Offer& offer = offers[record.key];
        if (record.kind == kVirtio) { offer.virtio = record.number; }
        if (record.kind == kProtocol) { offer.protocol = record.number; }
        if (record.kind == kQueuePairs) { offer.queue_pairs = record.number; }
        if (record.kind == kProcess) { guests_[record.key] = {record.number, offer}; }
    }
    if (loaded.value().size() <= guests_.size() * 4U * kHistory) { return Ok{}; }
    std::vector<Record> live;
    for (const auto& [port, guest] : guests_) { put(live, port, guest.process, guest.offer); }
    return log_.rewrite(live);
}

std::optional<relay::Offer> GuestBook::find(const std::string& port, int pid) {
    const auto at = guests_.find(port);
    const std::uint64_t process = identity_of(pid);
    if (at == guests_.end() || process == 0 || at->second.process != process) {
        return std::nullopt;
    }
    return at->second.offer;
}

void GuestBook::note(const std::string& port, int pid, const relay::Offer& offer) {
    const std::uint64_t process = identity_of(pid);
    Guest& guest = guests_[port];
    if (guest.process == process && guest.offer == offer) { return; }
    guest = {process, offer};
    std::vector<Record> records;
    put(records, port, process, offer);
    if (const Status written = log_.append(records); !written) {
        spdlog::warn("{}; a newer version may offer guests more than they know",
                     written.error().message);
    }
}

}  // namespace sluice::daemon
