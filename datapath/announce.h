// SPDX-License-Identifier: Apache-2.0
// Announce: frames by which the switch tells the fabric, or the other hosts of a VNI, where a vNIC
// is now: after it moved to another uplink or VTEP, or came up here. Control says which and how
// fast (src/sluiced/announcer.h), a worker sends; the books count them as created.
#pragma once

#include <vector>

#include "datapath/command.h"
#include "datapath/own_frame.h"

namespace sluice::datapath {

/// One frame. It leaves by the way that the vNIC has when it is sent, so that the newest state
/// wins.
struct Announcement {
    PortIndex vnic;  ///< kNoPort: the router of the domain, with its pMAC.
    DomainId domain;
    MacAddr mac;
    IpAddr ip;  ///< kNone: the MAC alone, by RARP.
};

/// A RARP request for oneself (RFC 903), broadcast: every switch on the way learns the MAC.
[[nodiscard]] OwnFrame make_rarp(const MacAddr& mac) noexcept;
/// A gratuitous ARP request (RFC 5227 §3), or an unsolicited neighbour advertisement (RFC 4861
/// §7.2.6).
[[nodiscard]] OwnFrame make_gratuitous(const MacAddr& mac, const IpAddr& ip) noexcept;

class SendAnnouncements final : public WorkerCommand {
public:
    explicit SendAnnouncements(std::vector<Announcement> frames) : frames_(std::move(frames)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

private:
    std::vector<Announcement> frames_;  // Few: one step sends them all.
};

}  // namespace sluice::datapath
