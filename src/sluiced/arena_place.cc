// SPDX-License-Identifier: Apache-2.0
// Where the arena lies: see arena_place.h.
#include "src/sluiced/arena_place.h"

#include <linux/magic.h>
#include <spdlog/spdlog.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "src/sluiced/version.h"

namespace sluice::daemon {
namespace {

long file_system_of(const std::string& path) {
    struct statfs found {};
    return statfs(path.c_str(), &found) == 0 ? static_cast<long>(found.f_type) : 0;
}

bool is_memory(const std::string& path) {
    const long type = file_system_of(path);
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

// Of the nearest folder that is there.
std::string existing(std::filesystem::path path) {
    std::error_code ignored;
    while (!path.empty() && path != path.root_path() && !std::filesystem::exists(path, ignored)) {
        path = path.parent_path();
    }
    return path.string();
}

std::string default_folder(const Options& options) {
    std::error_code error;
    const std::filesystem::path socket = std::filesystem::absolute(options.socket, error);
    if (is_memory(existing(socket.parent_path()))) { return socket.parent_path() / "arena"; }
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a.
    for (const char c : socket.string()) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    char name[40];
    std::snprintf(name, sizeof name, "/dev/shm/sluice-%016llx",
                  static_cast<unsigned long long>(hash));
    return name;
}

datapath::ArenaOptions arena_options(const ArenaPlace& place, std::uint64_t seed,
                                     bool beside_owner) {
    datapath::ArenaOptions options;
    options.folder = place.folder;
    options.records_folder = place.records;
    options.seed = seed;
    options.product = kVersion;
    options.beside_owner = beside_owner;
    return options;
}

Result<OpenedArena> open_at(const ArenaPlace& place, std::uint64_t seed, bool beside_owner) {
    const datapath::ArenaOptions options = arena_options(place, seed, beside_owner);
    OpenedArena opened;
    for (;;) {
        Result<std::unique_ptr<datapath::Arena>> arena = datapath::Arena::open(options);
        if (!arena) { return arena.error(); }
        auto names = std::make_unique<host::NameLog>();
        const Status read =
            names->load(place.folder + "/" + datapath::kArenaNamesFile, !beside_owner);
        if (!read) { return read.error(); }
        if (arena.value()->is_found() && names->is_empty() && !beside_owner) {
            spdlog::warn("arena: {}: its names are lost: beginning anew", place.folder);
            unlink((place.folder + "/header").c_str());
            continue;
        }
        opened.arena = std::move(arena).value();
        opened.names = std::move(names);
        return opened;
    }
}

}  // namespace

ArenaPlace arena_place(const Options& options) {
    if (options.arena == "none") { return {}; }
    if (options.arena.empty()) { return {default_folder(options), ""}; }
    if (file_system_of(existing(options.arena)) == HUGETLBFS_MAGIC) {
        return {default_folder(options), options.arena};
    }
    return {options.arena, ""};
}

OpenedArena open_arena(const Options& options, std::uint64_t seed, bool beside_owner) {
    const ArenaPlace place = arena_place(options);
    if (!place.folder.empty()) {
        std::error_code ignored;
        std::filesystem::create_directories(std::filesystem::path(place.folder).parent_path(),
                                            ignored);
        if (!is_memory(existing(place.folder))) {
            spdlog::warn("arena: {}: is on a disk, which workers may have to wait for",
                         place.folder);
        }
        Result<OpenedArena> opened = open_at(place, seed, beside_owner);
        if (opened) {
            const std::string& why = opened.value().arena->why();
            if (!why.empty()) { spdlog::warn("arena: {}: begins empty: {}", place.folder, why); }
            return std::move(opened).value();
        }
        spdlog::warn("{}: connections will not survive a restart", opened.error().message);
    }
    return {std::make_shared<datapath::Arena>(arena_options({}, seed, false)), nullptr};
}

}  // namespace sluice::daemon
