// SPDX-License-Identifier: Apache-2.0
// Privileges: see privileges.h.
#include "src/sluiced/privileges.h"

#include <linux/capability.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "privileged/syscall_filter.h"

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;
using privileged::Account;
using privileged::capabilities_of;

// Packet sockets and promiscuous mode; AF_XDP loads a program, too.
constexpr auto kForAfPacket = capabilities_of({CAP_NET_RAW, CAP_NET_ADMIN});
constexpr auto kForAfXdp =
    capabilities_of({CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN});
// Interfaces in namespaces.
constexpr auto kForHelper = capabilities_of({CAP_NET_ADMIN, CAP_SYS_ADMIN});

enum class UplinkKind : std::uint8_t { kNone, kAfPacket, kAfXdp };

UplinkKind kind_of(const std::string& device) {
    if (device.find("af_xdp") != std::string::npos) { return UplinkKind::kAfXdp; }
    return device.find("af_packet") != std::string::npos ? UplinkKind::kAfPacket
                                                         : UplinkKind::kNone;
}

/// The most that an uplink of the file needs. A file that can't be read is somebody else's matter.
UplinkKind stored_kind(const std::string& path) {
    std::ifstream file(path);
    if (file.peek() != '{') {  // The store's header (local_store.h).
        std::string header;
        std::getline(file, header);
    }
    const nlohmann::json document = nlohmann::json::parse(file, nullptr, false);
    UplinkKind kind = UplinkKind::kNone;
    if (!document.is_object()) { return kind; }
    const auto uplinks = document.find("uplinks");
    if (uplinks == document.end() || !uplinks->is_array()) { return kind; }
    for (const auto& uplink : *uplinks) {
        if (!uplink.is_object()) { continue; }
        const auto device = uplink.find("device");
        if (device == uplink.end() || !device->is_string()) { continue; }
        kind = std::max(kind, kind_of(device->get<std::string>()));
    }
    return kind;
}

UplinkKind wanted_kind(const Options& options) {
    if (options.allow_uplinks == "none") { return UplinkKind::kNone; }
    if (options.allow_uplinks == "af_packet") { return UplinkKind::kAfPacket; }
    if (options.allow_uplinks == "af_xdp") { return UplinkKind::kAfXdp; }
    const bool is_local = options.source.kind == Source::Kind::kLocal;
    const UplinkKind least = is_local ? UplinkKind::kNone : UplinkKind::kAfPacket;
    return std::max({least, stored_kind(options.state_dir + "/host.json"),
                     stored_kind(options.state_dir + "/host.json.previous"),
                     stored_kind(options.config)});
}

Error failure(const std::string& path, const std::string& what) {
    return Error{Errc::kIo, "privileges: " + path + ": " + what + ": " + std::strerror(errno), ""};
}

bool is_roots(const fs::path& path) {
    struct stat status {};
    return lstat(path.c_str(), &status) == 0 && status.st_uid == 0;
}

/// A folder whose files are the daemon's alone, and what a daemon that was root left in it.
Status own_all(const fs::path& folder, const Account& account) {
    std::error_code error;
    fs::create_directories(folder, error);
    if (!is_roots(folder)) { return Ok{}; }  // Else others may have put links there.
    for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
        if (lchown(entry.path().c_str(), account.uid, account.gid) != 0) {
            return failure(entry.path(), "its owner");
        }
    }
    return lchown(folder.c_str(), account.uid, account.gid) == 0 ? Status(Ok{})
                                                                 : failure(folder, "its owner");
}

/// A folder that others use, too: only one that is not there yet is made, and owned.
Status own_new(const fs::path& folder, const Account& account) {
    if (folder.empty() || fs::exists(folder)) { return Ok{}; }
    std::error_code error;
    fs::create_directories(folder, error);
    return lchown(folder.c_str(), account.uid, account.gid) == 0 ? Status(Ok{})
                                                                 : failure(folder, "its owner");
}

Status own_folders(const Options& options, const Account& account) {
    if (geteuid() != 0) { return Ok{}; }  // Who started it has seen to that.
    if (Status owned = own_all(options.state_dir, account); !owned) { return owned; }
    if (Status owned = own_new(fs::path(options.socket).parent_path(), account); !owned) {
        return owned;
    }
    return own_new(fs::path(options.firewall_log).parent_path(), account);
}

/// Said here, by name, and not by whoever fails first.
Status check_folders(const Options& options, const Account& account) {
    for (const fs::path& folder :
         {fs::path(options.state_dir), fs::absolute(options.socket).parent_path()}) {
        if (access(folder.c_str(), R_OK | W_OK | X_OK) == 0) { continue; }
        return failure(folder, "user \"" + account.name + "\" can't write there");
    }
    return Ok{};
}

Result<privileged::Helper> find_helper(const Options& options, const Account* account) {
    if (!options.helper.empty()) { return privileged::connect_helper(options.helper); }
    if (account == nullptr) { return privileged::start_helper(); }
    const privileged::HelperRights rights{*account, kForHelper};
    return privileged::start_helper(&rights);
}

}  // namespace

KeptRights kept_rights(const Options& options) {
    switch (wanted_kind(options)) {
        case UplinkKind::kNone: return {};
        case UplinkKind::kAfPacket: return {kForAfPacket, false};
        case UplinkKind::kAfXdp: return {kForAfXdp, true};
    }
    return {};
}

Result<privileged::Helper> start_confined(const Options& options) {
    if (options.user.empty()) { return find_helper(options, nullptr); }
    const Result<Account> account = privileged::find_account(options.user);
    if (!account) { return Error{account.error().code, "--user: " + account.error().message, ""}; }
    const KeptRights kept = kept_rights(options);
    if (Status owned = own_folders(options, account.value()); !owned) { return owned.error(); }
    Result<privileged::Helper> helper = find_helper(options, &account.value());
    if (!helper) { return helper; }
    if (Status done = privileged::become(account.value(), kept.capabilities); !done) {
        return done.error();
    }
    if (Status usable = check_folders(options, account.value()); !usable) { return usable.error(); }
    if (Status done = privileged::filter_daemon(kept.allows_bpf); !done) { return done.error(); }
    spdlog::info("running as user {} (uid {}), with {}", account.value().name, account.value().uid,
                 kept.capabilities == 0 ? "no rights"
                 : kept.allows_bpf      ? "the rights for af_xdp uplinks"
                                        : "the rights for af_packet uplinks");
    return helper;
}

}  // namespace sluice::daemon
