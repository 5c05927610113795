// SPDX-License-Identifier: Apache-2.0
// Guests to JSON and back; guest.h has the order of descriptors.
#include "handover/guest.h"

#include <optional>
#include <string_view>
#include <utility>

#include "relay/limits.h"

namespace sluice::handover {
namespace {

using nlohmann::json;

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kSaidMax = 8192;  // Seven a ring, and a few.

std::string to_hex(const std::vector<std::byte>& bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::byte byte : bytes) {
        text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
        text += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return text;
}

std::optional<std::vector<std::byte>> from_hex(const std::string& text) {
    if (text.size() % 2 != 0 || text.size() > std::size_t{relay::kPayloadBytesMax} * 2) {
        return std::nullopt;
    }
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const std::size_t high = kDigits.find(text[i]);
        const std::size_t low = kDigits.find(text[i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) {
            return std::nullopt;
        }
        bytes.push_back(static_cast<std::byte>(high << 4U | low));
    }
    return bytes;
}

Error invalid(const std::string& what) {
    return Error{Errc::kInvalid, "handover: a guest " + what, ""};
}

// Takes descriptors of a message one after the other.
class Descriptors {
public:
    explicit Descriptors(std::vector<relay::Fd> fds) : fds_(std::move(fds)) {}
    bool take(relay::Fd& fd) {
        if (next_ >= fds_.size()) { return false; }
        fd = std::move(fds_[next_++]);
        return true;
    }
    [[nodiscard]] bool is_empty() const { return next_ == fds_.size(); }

private:
    std::vector<relay::Fd> fds_;
    std::size_t next_ = 0;
};

// One request of QEMU's. False: it is none.
bool read_said(const json& item, Descriptors& fds, relay::Message& out) {
    out.header.request = item.at("request").get<std::uint32_t>();
    out.header.flags = item.at("flags").get<std::uint32_t>();
    auto payload = from_hex(item.at("payload").get_ref<const std::string&>());
    const auto count = item.at("fds").get<std::size_t>();
    if (!payload || count > relay::kMessageFdMax) { return false; }
    out.header.size = static_cast<std::uint32_t>(payload->size());
    out.payload = std::move(*payload);
    for (std::size_t i = 0; i < count; ++i) {
        out.fds.emplace_back();
        if (!fds.take(out.fds.back())) { return false; }
    }
    return true;
}

// Throws json's exceptions.
Result<Guest> read_guest(const json& body, Descriptors& fds) {
    Guest guest;
    guest.port = body.at("port").get<std::string>();
    guest.is_up = body.at("is_up").get<bool>();
    const json& said = body.at("said");
    if (body.at("qemu").get<bool>() && !fds.take(guest.handed.qemu)) {
        return invalid("came without its socket");
    }
    if (const auto at = body.find("listener"); at != body.end()) {
        guest.handed.listener.device = at->at("device").get<dev_t>();
        guest.handed.listener.inode = at->at("inode").get<ino_t>();
        if (!fds.take(guest.handed.listener.socket)) {
            return invalid("came without its listener");
        }
    }
    if (!said.is_array() || said.size() > kSaidMax) { return invalid("has said too much"); }
    for (const json& item : said) {
        if (!read_said(item, fds, guest.handed.said.emplace_back())) {
            return invalid("has said what is no request");
        }
    }
    if (!fds.is_empty()) { return invalid("came with descriptors that nobody wants"); }
    return guest;
}

}  // namespace

Message to_message(Guest guest) {
    Message out;
    out.kind = Kind::kGuest;
    relay::HandedPort& handed = guest.handed;
    out.body = {{"port", guest.port}, {"is_up", guest.is_up}, {"qemu", handed.qemu.valid()}};
    if (handed.qemu.valid()) { out.fds.push_back(std::move(handed.qemu)); }
    if (handed.listener.socket.valid()) {
        out.body["listener"] = {{"device", handed.listener.device},
                                {"inode", handed.listener.inode}};
        out.fds.push_back(std::move(handed.listener.socket));
    }
    json said = json::array();
    for (relay::Message& message : handed.said) {
        said.push_back({{"request", message.header.request},
                        {"flags", message.header.flags},
                        {"payload", to_hex(message.payload)},
                        {"fds", message.fds.size()}});
        for (relay::Fd& fd : message.fds) { out.fds.push_back(std::move(fd)); }
    }
    out.body["said"] = std::move(said);
    return out;
}

Result<Guest> to_guest(Message message) {
    Descriptors fds(std::move(message.fds));
    try {
        return read_guest(message.body, fds);
    } catch (const json::exception& error) {
        return invalid(std::string("is not described: ") + error.what());
    }
}

}  // namespace sluice::handover
