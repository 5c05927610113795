// SPDX-License-Identifier: Apache-2.0
// Registration of VhostPorts with librte_vhost, whose callbacks know a device by number and path
// only. Control thread or its helper; the callbacks run on the library's thread.
#pragma once

#include "datapath/vhost_port.h"

namespace sluice::datapath {

/// Virtio and vhost features that we offer a guest: split rings only, mergeable buffers, indirect
/// descriptors, checksum and TSO, several queues. Not offered: packed rings, IOMMU, UFO, ECN, guest
/// announce.
[[nodiscard]] std::uint64_t offered_features() noexcept;

[[nodiscard]] Status register_vhost(VhostPort& port);
/// The library's thread polls the sockets that it knew when its last poll() began, for up to a
/// second: new listeners would be heard that late. A connection of its own wakes it. Once after
/// any number of new ports: each costs about a millisecond.
/// @param path  for a socket that exists during the call
void wake_vhost(const std::string& path);
void unregister_vhost(VhostPort& port);

}  // namespace sluice::datapath
