// SPDX-License-Identifier: Apache-2.0
// Names of the virtio feature bits, as scripts write them. Any thread.
#include "virtio.h"

#include <array>
#include <utility>

namespace sluice::frontend {
namespace {

using Named = std::pair<Feature, std::string_view>;
constexpr std::array kNames{
    Named{Feature::kCsum, "csum"},
    Named{Feature::kGuestCsum, "guest_csum"},
    Named{Feature::kMtu, "mtu"},
    Named{Feature::kMac, "mac"},
    Named{Feature::kGuestTso4, "guest_tso4"},
    Named{Feature::kGuestTso6, "guest_tso6"},
    Named{Feature::kGuestEcn, "guest_ecn"},
    Named{Feature::kGuestUfo, "guest_ufo"},
    Named{Feature::kHostTso4, "host_tso4"},
    Named{Feature::kHostTso6, "host_tso6"},
    Named{Feature::kHostEcn, "host_ecn"},
    Named{Feature::kHostUfo, "host_ufo"},
    Named{Feature::kMrgRxbuf, "mrg_rxbuf"},
    Named{Feature::kStatus, "status"},
    Named{Feature::kCtrlVq, "ctrl_vq"},
    Named{Feature::kCtrlRx, "ctrl_rx"},
    Named{Feature::kGuestAnnounce, "guest_announce"},
    Named{Feature::kMq, "mq"},
    Named{Feature::kLogAll, "log_all"},
    Named{Feature::kIndirectDesc, "indirect_desc"},
    Named{Feature::kEventIdx, "event_idx"},
    Named{Feature::kProtocolFeatures, "protocol_features"},
    Named{Feature::kVersion1, "version_1"},
    Named{Feature::kIommuPlatform, "iommu_platform"},
    Named{Feature::kRingPacked, "ring_packed"},
    Named{Feature::kInOrder, "in_order"},
};

}  // namespace

std::optional<std::uint64_t> feature_bit(std::string_view name) {
    for (const auto& [feature, text] : kNames) {
        if (text == name) { return bit(feature); }
    }
    return std::nullopt;
}

std::vector<std::string> feature_names(std::uint64_t features) {
    std::vector<std::string> names;
    for (const auto& [feature, text] : kNames) {
        if ((features & bit(feature)) != 0) { names.emplace_back(text); }
    }
    return names;
}

}  // namespace sluice::frontend
