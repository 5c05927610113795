// SPDX-License-Identifier: Apache-2.0
// Registration of VhostPorts with librte_vhost, whose callbacks know a device by number and path
// only. Control thread; the callbacks run on the library's thread.
#pragma once

#include "datapath/vhost_port.h"

namespace sluice::datapath {

/// Virtio and vhost features that we offer a guest: split rings only, mergeable buffers, indirect
/// descriptors, checksum and TSO, several queues. Not offered: packed rings, IOMMU, UFO, ECN, guest
/// announce.
[[nodiscard]] std::uint64_t offered_features() noexcept;

[[nodiscard]] Status register_vhost(VhostPort& port);
void unregister_vhost(VhostPort& port);

}  // namespace sluice::datapath
