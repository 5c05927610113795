// SPDX-License-Identifier: Apache-2.0
// Arena: see arena.h.
#include "datapath/arena.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <thread>

#include "sluice/iochain/connection_table.h"
#include "sluice/iochain/learned_table.h"
#include "sluice/iochain/service_pins.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kMagic = 0x31414e5241434c53ULL;  // "SLCARNA1"

/// The file `header`.
struct Header {
    std::uint64_t magic = kMagic;
    std::uint32_t schema = kArenaSchema;
    std::uint32_t schema_oldest_reader = kArenaSchema;  ///< Who knows this schema can read it.
    std::uint32_t connection_bytes = sizeof(Connection);
    std::uint32_t pins_bytes = sizeof(ServicePins);
    std::uint64_t seed = 0;
    std::array<char, 40> boot{};
    std::array<char, 48> product{};
    std::uint64_t check = 0;  ///< Of all before it.

    [[nodiscard]] std::uint64_t computed_check() const noexcept {  // FNV-1a.
        std::uint64_t sum = 0xcbf29ce484222325ULL;
        std::array<unsigned char, offsetof(Header, check)> bytes{};
        std::memcpy(bytes.data(), this, bytes.size());
        for (const unsigned char byte : bytes) { sum = (sum ^ byte) * 0x100000001b3ULL; }
        return sum;
    }
};
static_assert(sizeof(Header) == 128);

std::array<char, 40> this_boot() {
    std::array<char, 40> id{};
    std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == nullptr) { return id; }
    const std::size_t size = std::fread(id.data(), 1, 36, file);
    std::fclose(file);
    id[size] = '\0';
    return id;
}

Error failed(const std::string& path, const char* what) {
    const Errc code = errno == ENOSPC ? Errc::kLimit : Errc::kIo;
    return Error{code, "arena: " + path + ": " + what + ": " + std::strerror(errno), ""};
}

// Nobody else may have made it, or may write there: /dev/shm is everybody's.
Status make_folder(const std::string& path) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) { return failed(path, "can't be made"); }
    struct stat found {};
    if (lstat(path.c_str(), &found) != 0) { return failed(path, "can't be looked at"); }
    if (!S_ISDIR(found.st_mode)) {
        return Error{Errc::kDenied, "arena: " + path + ": is no folder", ""};
    }
    if (found.st_uid != geteuid() || (found.st_mode & 022U) != 0) {
        return Error{Errc::kDenied,
                     "arena: " + path + ": belongs to another user, or others may write there", ""};
    }
    return Ok{};
}

Status check_room(const std::string& path) {
    struct statvfs room {};
    if (statvfs(path.c_str(), &room) != 0) { return failed(path, "can't be looked at"); }
    const std::size_t free = static_cast<std::size_t>(room.f_bavail) * room.f_frsize;
    if (free >= kArenaRoomBytes) { return Ok{}; }
    return Error{Errc::kLimit,
                 "arena: " + path + ": has " + std::to_string(free >> 20U) +
                     " MB free, and an arena needs " + std::to_string(kArenaRoomBytes >> 20U) +
                     " MB to begin with",
                 ""};
}

}  // namespace

Arena::Arena(const ArenaOptions& options)
    : options_(options),
      connections_(ConnectionTable::record_bytes(options.connection_capacity)),
      learned_(LearnedTable::record_bytes(options.learned_capacity)),
      pins_(ServicePinTable::bytes(options.connection_capacity)),
      seed_(options.seed) {
    options_.folder.clear();
}

Arena::~Arena() {
    if (lock_fd_ >= 0) { close(lock_fd_); }  // Lets go of the lock.
}

Result<std::unique_ptr<Arena>> Arena::open(const ArenaOptions& options) {
    auto arena = std::make_unique<Arena>(options);
    arena->options_.folder = options.folder;
    if (Status opened = arena->open_files(); !opened) { return opened.error(); }
    return arena;
}

std::string Arena::path_of(const char* name) const { return options_.folder + "/" + name; }

std::string Arena::records_path_of(const char* name) const {
    return (options_.records_folder.empty() ? options_.folder : options_.records_folder) + "/" +
           name;
}

Status Arena::open_files() {
    if (Status made = make_folder(options_.folder); !made) { return made; }
    if (!options_.records_folder.empty()) {
        if (Status made = make_folder(options_.records_folder); !made) { return made; }
    }
    const std::string lock_path = path_of("lock");
    lock_fd_ = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock_fd_ < 0) { return failed(lock_path, "can't be opened"); }
    if (!options_.beside_owner) {
        if (Status locked = take_lock(options_.lock_wait_ms); !locked) { return locked; }
    }
    const std::string unfit = read_header();
    is_found_ = unfit.empty() && schema_ != 0;
    if (!is_found_) {
        if (options_.beside_owner) {
            return Error{Errc::kState,
                         "arena: " + options_.folder + ": " + (unfit.empty() ? "is empty" : unfit),
                         ""};
        }
        why_ = unfit;
        if (Status begun = begin_anew(); !begun) { return begun; }
    }
    for (auto [region, name] :
         {std::pair{&connections_, "connections"}, {&learned_, "learned"}, {&pins_, "pins"}}) {
        if (Status attached = region->attach(records_path_of(name)); !attached) { return attached; }
    }
    return Ok{};
}

Status Arena::take_lock(unsigned wait_ms) {
    constexpr std::chrono::milliseconds kPause{2};
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
    while (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) { return failed(path_of("lock"), "flock"); }
        if (std::chrono::steady_clock::now() >= until) {
            return Error{Errc::kState,
                         "arena: " + options_.folder + ": belongs to another sluiced that runs",
                         ""};
        }
        std::this_thread::sleep_for(kPause);
    }
    owns_ = true;
    return Ok{};
}

// Why it can't be used; empty: it can, or (schema_ 0) there is none.
std::string Arena::read_header() {
    const std::string path = path_of("header");
    schema_ = 0;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) { return errno == ENOENT ? "" : std::strerror(errno); }
    Header header;
    const ssize_t size = read(fd, &header, sizeof header);
    close(fd);
    if (size != static_cast<ssize_t>(sizeof header) || header.magic != kMagic ||
        header.check != header.computed_check()) {
        return "its header is damaged";
    }
    if (header.boot != this_boot()) { return "it is from before the host was started"; }
    const std::string version =
        std::string(header.product.data(), strnlen(header.product.data(), header.product.size()));
    const bool is_newer = header.schema > kArenaSchema;
    if (is_newer ? header.schema_oldest_reader > kArenaSchema
                 : header.schema < kArenaSchemaOldest) {
        return "sluiced " + version + " wrote it with schema " + std::to_string(header.schema) +
               ", this version reads " + std::to_string(kArenaSchemaOldest) + " to " +
               std::to_string(kArenaSchema);
    }
    if (header.connection_bytes != sizeof(Connection) || header.pins_bytes != sizeof(ServicePins)) {
        return "its records have another size";
    }
    seed_ = header.seed;
    schema_ = header.schema;
    return "";
}

Status Arena::begin_anew() {
    const std::string& records =
        options_.records_folder.empty() ? options_.folder : options_.records_folder;
    for (const char* name : {"header", kArenaNamesFile, kArenaGuestsFile, kArenaCountersFile}) {
        unlink(path_of(name).c_str());
    }
    for (const char* name : {"connections", "learned", "pins"}) {
        unlink(records_path_of(name).c_str());
    }
    if (Status room = check_room(records); !room) { return room; }
    seed_ = options_.seed;
    return write_header();
}

Status Arena::write_header() {
    Header header;
    header.seed = seed_;
    header.boot = this_boot();
    options_.product.copy(header.product.data(), header.product.size() - 1U);
    header.check = header.computed_check();
    const std::string path = path_of("header");
    const std::string next = path + ".new";
    const int fd =
        ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) { return failed(next, "can't be made"); }
    const bool is_written =
        write(fd, &header, sizeof header) == static_cast<ssize_t>(sizeof header);
    close(fd);
    if (!is_written || rename(next.c_str(), path.c_str()) != 0) {
        return failed(path, "can't be written");
    }
    schema_ = kArenaSchema;
    return Ok{};
}

Status Arena::take_over() {
    if (!is_kept() || owns_) { return Ok{}; }
    if (Status locked = take_lock(options_.lock_wait_ms); !locked) { return locked; }
    return reload();
}

void Arena::release() noexcept {
    if (!owns_) { return; }
    flock(lock_fd_, LOCK_UN);
    owns_ = false;
}

Status Arena::reload() {
    for (ArenaRegion* region : {&connections_, &learned_, &pins_}) {
        if (Status loaded = region->reload(); !loaded) { return loaded; }
    }
    return Ok{};
}

Status Arena::note_adopted() {
    if (!is_kept() || schema_ == kArenaSchema) { return Ok{}; }
    return write_header();
}

}  // namespace sluice::datapath
