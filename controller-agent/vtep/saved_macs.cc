// SPDX-License-Identifier: Apache-2.0
// SavedMacs: see saved_macs.h.
#include "controller-agent/vtep/saved_macs.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>

#include "controller-agent/fleet/saved_view.h"
#include "controller-agent/local_store.h"

namespace sluice::vtep {
namespace {

void write(const std::string& folder, std::uint64_t generation,
           const std::vector<fleet::FleetBinding>& bindings) {
    std::string text;
    fleet::append_saved(text, bindings);
    agent::LocalStore store(folder);
    Status done = store.open();
    if (done) { done = store.save(generation, text); }
    if (!done) { spdlog::error("vtep: bindings are not saved: {}", done.error().message); }
}

}  // namespace

std::vector<fleet::FleetBinding> SavedMacs::load() {
    if (folder_.empty()) { return {}; }
    agent::LocalStore store(folder_);
    const Status opened = store.open();
    const Result<agent::Stored> stored =
        opened ? store.load() : Result<agent::Stored>(opened.error());
    if (!stored) {
        spdlog::warn("vtep: saved bindings are not used: {}", stored.error().message);
        return {};
    }
    if (!stored.value().warning.empty()) { spdlog::warn("vtep: {}", stored.value().warning); }
    generation_ = stored.value().generation;
    return fleet::parse_saved(stored.value().document).bindings;
}

void SavedMacs::save(std::vector<fleet::FleetBinding> bindings) {
    if (folder_.empty()) { return; }
    boost::asio::post(pool_, [folder = folder_, generation = ++generation_,
                              all = std::move(bindings)] { write(folder, generation, all); });
}

}  // namespace sluice::vtep
