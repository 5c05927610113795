// SPDX-License-Identifier: Apache-2.0
// Suppress: an ARP request (RFC 826), or a neighbour solicitation to a group (RFC 4861 §7.2.2), of
// a VM whose answer is known is answered in place and goes no further: it would wake every VM of
// the domain. Known is what the document says, then what controllers tell (fleet.cc), and else what
// was learned (LearnedTable::holder()).
// Between the asker's chain, which let it pass, and switching (inspect.cc); no other chain is
// asked. Announcements, probes and duplicate address detection must reach everybody; a solicitation
// to the neighbour itself asks whether it lives. Worker that polls the asker.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kArpSize = 28, kFrameSizeMin = 60;  // Without checksum (IEEE 802.3 §3.2.8).
constexpr std::uint8_t kArpRequest = 1, kArpReply = 2;
constexpr std::uint32_t kSolicitationSize = 24, kAdvertisementSize = 32;
constexpr std::uint8_t kSolicitation = 135, kAdvertisement = 136, kTargetLinkLayer = 2;
constexpr std::uint8_t kSolicitedOverride = 0x60;  // R=0 S=1 O=1 (RFC 4861 §4.4).
constexpr std::uint8_t kHopLimit = 255;

struct Question {
    IpAddr asker, target;
};

// Slot 1 has found it well-formed. Who names another MAC than it sends from is left to the owner.
std::optional<Question> arp_question(const ParsedFrame& frame) noexcept {
    if (frame.l3_offset == 0 || frame.l3_offset + kArpSize > frame.data_size) {
        return std::nullopt;
    }
    const std::uint8_t* arp = frame.data + frame.l3_offset;
    const Question question{IpAddr::v4(load_be32(arp + 14)), IpAddr::v4(load_be32(arp + 24))};
    const bool is_whole =
        arp[7] == kArpRequest && std::memcmp(arp + 8, frame.key.source_mac.bytes.data(), 6) == 0;
    const bool is_probe = question.asker.v4_host() == 0;
    if (!is_whole || is_probe || question.asker == question.target) { return std::nullopt; }
    return question;
}

std::optional<Question> nd_question(const ParsedFrame& frame) noexcept {
    const std::uint32_t end = std::uint32_t{frame.l4_offset} + kSolicitationSize;
    if (frame.l4_offset == 0 || end > frame.data_size || !frame.key.destination_mac.is_group()) {
        return std::nullopt;
    }
    const std::uint8_t* icmp = frame.data + frame.l4_offset;
    Question question{frame.key.source(), {}};
    question.target.family = IpFamily::kV6;
    std::memcpy(question.target.bytes.data(), icmp + 8, 16);
    const bool is_detection = question.asker.bytes == IpAddr{}.bytes;
    if (icmp[0] != kSolicitation || is_detection || question.asker == question.target) {
        return std::nullopt;
    }
    return question;
}

std::optional<Question> question_of(const ParsedFrame& frame) noexcept {
    if (frame.inspect_kind == InspectKind::kArp) { return arp_question(frame); }
    return frame.inspect_kind == InspectKind::kNd ? nd_question(frame) : std::nullopt;
}

/// Nobody answers for a vNIC that is not there; nor for a router's, whose R flag is not known here:
/// a host that hears R=0 gives its router up (RFC 4861 §7.2.5).
bool may_speak_for(const PortConfig* owner, const IpAddr& target) noexcept {
    return owner != nullptr && owner->is_enabled && owner->device->is_up() &&
           !(target.is_v6() && owner->may_advertise);
}

/// The MAC that has `target`; nothing if it is the asker's, unknown or can't be told.
std::optional<MacAddr> known_mac(const WorkerContext& context, std::uint16_t index, PortIndex asker,
                                 const IpAddr& target) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (const AddressOwner* owner = domain.owner(target)) {
        if (owner->port == kNoPort) { return owner->mac; }
        const PortConfig* port = context.snapshot->port(owner->port);
        // Behind a port that uses several MACs, the document does not say which has the address.
        const bool is_told = owner->port != asker && may_speak_for(port, target);
        return is_told && !port->learning.is_on() ? std::optional(owner->mac) : std::nullopt;
    }
    if (const auto mac = told_mac(context, index, target)) { return mac; }
    const PortIndex holder = context.learned.holder(domain.id, target, context.now_ns);
    if (holder == kNoPort || holder == asker ||
        !may_speak_for(context.snapshot->port(holder), target)) {
        return std::nullopt;
    }
    const auto row =
        context.learned.find(LearnedKey::binding(domain.id, holder, target), context.now_ns);
    return row ? std::optional(row->mac) : std::nullopt;
}

void write_ethernet(const ParsedFrame& frame, const MacAddr& mac, std::uint8_t* out) noexcept {
    std::memcpy(out, frame.data + 6, 6);
    std::memcpy(out + 6, mac.bytes.data(), 6);
    std::memcpy(out + 12, frame.data + 12, frame.l3_offset - 12U);  // Tag and ethertype.
}

void write_reply(const ParsedFrame& frame, const MacAddr& mac, std::uint8_t* out) noexcept {
    const std::uint8_t* request = frame.data + frame.l3_offset;
    std::memcpy(out, request, 7);  // Formats; the operation's high byte is 0.
    out[7] = kArpReply;
    std::memcpy(out + 8, mac.bytes.data(), 6);
    std::memcpy(out + 14, request + 24, 4);
    std::memcpy(out + 18, request + 8, 10);  // The asker, as it calls itself.
}

std::uint16_t icmpv6_sum(const std::uint8_t* ip, std::uint32_t size) noexcept {
    std::uint32_t sum = raw_sum(ip + 8, 32) + raw_sum(ip + kIpv6Size, size) +
                        __builtin_bswap16(static_cast<std::uint16_t>(size)) +
                        __builtin_bswap16(kProtocolIcmpv6);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
}

void write_advertisement(const Question& question, const MacAddr& mac, std::uint8_t* ip) noexcept {
    std::memset(ip, 0, kIpv6Size + kAdvertisementSize);
    ip[0] = 0x60;
    ip[5] = kAdvertisementSize;
    ip[6] = kProtocolIcmpv6;
    ip[7] = kHopLimit;
    std::memcpy(ip + 8, question.target.bytes.data(), 16);
    std::memcpy(ip + 24, question.asker.bytes.data(), 16);
    std::uint8_t* icmp = ip + kIpv6Size;
    icmp[0] = kAdvertisement;
    icmp[4] = kSolicitedOverride;
    std::memcpy(icmp + 8, question.target.bytes.data(), 16);
    icmp[24] = kTargetLinkLayer;
    icmp[25] = 1;  // In units of eight bytes.
    std::memcpy(icmp + 26, mac.bytes.data(), 6);
    const std::uint16_t sum = icmpv6_sum(ip, kAdvertisementSize);
    std::memcpy(icmp + 2, &sum, sizeof sum);
}

/// nullptr: no buffer.
rte_mbuf* make_answer(const WorkerContext& context, const Packet& packet, const Question& question,
                      const MacAddr& mac) noexcept {
    const ParsedFrame& frame = packet.frame;
    const bool is_arp = frame.inspect_kind == InspectKind::kArp;
    const std::uint32_t body = is_arp ? kArpSize : kIpv6Size + kAdvertisementSize;
    const std::uint32_t size = std::max(frame.l3_offset + body, kFrameSizeMin);
    rte_mbuf* answer = rte_pktmbuf_alloc(context.options.pool);
    if (answer == nullptr) { return nullptr; }
    char* room = rte_pktmbuf_append(answer, static_cast<std::uint16_t>(size));
    if (room == nullptr) {
        rte_pktmbuf_free(answer);
        return nullptr;
    }
    auto* out = reinterpret_cast<std::uint8_t*>(room);
    std::memset(out, 0, size);
    write_ethernet(frame, mac, out);
    is_arp ? write_reply(frame, mac, out + frame.l3_offset)
           : write_advertisement(question, mac, out + frame.l3_offset);
    answer->port = frame.key.port.value;
    answer->hash.rss = packet.mbuf->hash.rss;
    return answer;
}

// Promiscuous ports see every frame of the domain, those that are answered too.
void copy_to_watchers(WorkerContext& context, const Packet& packet, std::uint16_t domain) noexcept {
    if (context.snapshot->domains[domain].promiscuous.empty()) { return; }
    Program program;
    program.ending = Ending::kMirrored;
    program.domain = domain;
    replicate(context, packet, program, kNoPort);
}

}  // namespace

bool answer_known(WorkerContext& context, Packet& packet, const PortConfig& in,
                  std::uint16_t domain) noexcept {
    if (!in.arp_suppression || in.is_uplink) { return false; }
    const std::optional<Question> question = question_of(packet.frame);
    if (!question) { return false; }
    const PortIndex asker = packet.frame.key.port;
    const std::optional<MacAddr> mac = known_mac(context, domain, asker, question->target);
    if (!mac) { return false; }
    rte_mbuf* answer = make_answer(context, packet, *question, *mac);
    if (answer == nullptr) { return false; }  // The owner may do it.
    copy_to_watchers(context, packet, domain);
    context.counters.created.add(1);
    context.ports[asker.value].answered.add(1);
    output(context, answer, asker);
    consume(context, packet.mbuf);
    return true;
}

}  // namespace sluice::datapath
