// SPDX-License-Identifier: Apache-2.0
// NshHeader: see nsh_header.h.
#include "datapath/nsh_header.h"

#include <cstring>

#include "datapath/packet_writer.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kLengthWords = 6;  // RFC 8300 §2.4: of MD type 1.
constexpr std::uint32_t kMdType1 = 1;
constexpr std::uint32_t kNextEthernet = 3;
constexpr std::uint32_t kOam = 1U << 29U;
constexpr unsigned kTtlShift = 22;
constexpr std::uint32_t kTtlMask = 0x3f;
// Without O, TTL and what must be ignored (RFC 8300 §2.2: U bits).
constexpr std::uint32_t kBase = kLengthWords << 16U | kMdType1 << 8U | kNextEthernet;
constexpr std::uint32_t kBaseMask = 0xc03f0fffU;

constexpr std::uint32_t kToVm = 1U << 0U;
constexpr std::uint32_t kResponder = 1U << 1U;
constexpr std::uint32_t kBypass = 1U << 2U;
constexpr unsigned kOriginShift = 8;
constexpr unsigned kSlotShift = 24;

std::uint32_t second_word(const NshHeader& header) noexcept {
    std::uint32_t word = std::uint32_t{header.what.slot} << kSlotShift |
                         std::uint32_t{header.origin} << kOriginShift;
    if (header.what.direction == Direction::kToVm) { word |= kToVm; }
    if (header.what.side == ConnectionSide::kResponder) { word |= kResponder; }
    if (header.what.bypasses_rest) { word |= kBypass; }
    return word;
}

void read_second(std::uint32_t word, NshHeader& header) noexcept {
    header.what.slot = static_cast<std::uint8_t>(word >> kSlotShift);
    header.origin = static_cast<std::uint16_t>(word >> kOriginShift);
    header.what.direction = (word & kToVm) != 0 ? Direction::kToVm : Direction::kFromVm;
    header.what.side =
        (word & kResponder) != 0 ? ConnectionSide::kResponder : ConnectionSide::kOpener;
    header.what.bypasses_rest = (word & kBypass) != 0;
}

}  // namespace

void write_nsh(std::uint8_t* out, const NshHeader& header) noexcept {
    const NshContext& what = header.what;
    std::memcpy(out, header.destination.bytes.data(), 6);
    std::memcpy(out + 6, header.source.bytes.data(), 6);
    store_be16(out + 12, kEtherNsh);
    out += kEthernetSize;
    const std::uint32_t ttl = (header.ttl & kTtlMask) << kTtlShift;
    store_be32(out, kBase | ttl | (header.is_oam ? kOam : 0U));
    store_be32(out + 4, what.path << 8U | what.index);
    store_be32(out + 8, std::uint32_t{what.port.value} << 16U | what.service_vid);
    store_be32(out + 12, second_word(header));
    store_be32(out + 16, what.connection.index);
    store_be32(out + 20, what.connection.generation);
}

std::optional<NshHeader> read_nsh(std::span<const std::uint8_t> bytes) noexcept {
    if (bytes.size() < kNshEnvelope + kEthernetSize || load_be16(&bytes[12]) != kEtherNsh) {
        return std::nullopt;
    }
    const std::uint8_t* at = bytes.data() + kEthernetSize;
    const std::uint32_t base = load_be32(at);
    const std::uint32_t path = load_be32(at + 4);
    NshHeader header;
    header.ttl = static_cast<std::uint8_t>(base >> kTtlShift & kTtlMask);
    header.is_oam = (base & kOam) != 0;
    header.what.path = path >> 8U;
    header.what.index = static_cast<std::uint8_t>(path);
    if ((base & kBaseMask) != kBase || header.ttl == 0 || header.what.path == 0 ||
        header.what.index == 0) {
        return std::nullopt;
    }
    std::memcpy(header.destination.bytes.data(), bytes.data(), 6);
    std::memcpy(header.source.bytes.data(), bytes.data() + 6, 6);
    const std::uint32_t entered = load_be32(at + 8);
    header.what.port = PortIndex{static_cast<std::uint16_t>(entered >> 16U)};
    header.what.service_vid = static_cast<std::uint16_t>(entered & 0xfffU);
    read_second(load_be32(at + 12), header);
    header.what.connection = {load_be32(at + 16), load_be32(at + 20)};
    return header;
}

}  // namespace sluice::datapath
