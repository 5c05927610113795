// SPDX-License-Identifier: Apache-2.0
// Saving and loading of local_store.h. Every system call that fails ends in one kIo sentence with
// path and reason.
#include "controller-agent/local_store.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::agent {
namespace {

constexpr std::string_view kMagic = "sluice-state 1 generation ";
constexpr std::string_view kChecksumWord = " sha256 ";
constexpr std::size_t kHeaderMax = 256;  // Bytes of the longest header line.
constexpr std::string_view kCurrentName = "host.json";
constexpr std::string_view kPreviousName = "host.json.previous";
constexpr std::string_view kNewName = "host.json.new";
constexpr std::string_view kKeepName = "host.json.keep";

Error io_error(const std::string& what, const std::string& path, int number) {
    return Error{Errc::kIo, what + " " + path + ": " + std::strerror(number), ""};
}

/// SHA-256 over "GENERATION\n" and the document, in hex.
std::string checksum(std::uint64_t generation, std::string_view document) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const std::string prefix = std::to_string(generation) + "\n";
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const bool good = context != nullptr &&
                      EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1 &&
                      EVP_DigestUpdate(context, prefix.data(), prefix.size()) == 1 &&
                      EVP_DigestUpdate(context, document.data(), document.size()) == 1 &&
                      EVP_DigestFinal_ex(context, digest.data(), &size) == 1;
    EVP_MD_CTX_free(context);
    SLUICE_ASSERT(good);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", unsigned{digest[i]});
        hex += two;
    }
    return hex;
}

std::string header_of(std::uint64_t generation, std::string_view document) {
    return std::string(kMagic) + std::to_string(generation) + std::string(kChecksumWord) +
           checksum(generation, document) + "\n";
}

/// The document in a file's bytes; nullopt unless header and checksum are right.
std::optional<Stored> unpack(std::string bytes) {
    const std::size_t newline = std::string_view(bytes).substr(0, kHeaderMax).find('\n');
    if (newline == std::string::npos || !bytes.starts_with(kMagic)) { return std::nullopt; }
    Stored stored;
    const char* first = bytes.data() + kMagic.size();
    const auto [end, error] = std::from_chars(first, bytes.data() + newline, stored.generation);
    if (error != std::errc{} || end == first) { return std::nullopt; }
    const std::string_view document = std::string_view(bytes).substr(newline + 1);
    if (std::string_view(bytes).substr(0, newline + 1) != header_of(stored.generation, document)) {
        return std::nullopt;
    }
    bytes.erase(0, newline + 1);
    stored.document = std::move(bytes);
    return stored;
}

/// Calls that a signal may interrupt.
template <typename Call>
auto retried(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) { result = call(); }
    return result;
}

}  // namespace

LocalStore::LocalStore(std::string folder, FileSystem& files)
    : folder_(std::move(folder)), files_(files) {}

std::string LocalStore::path(std::string_view name) const {
    return folder_ + "/" + std::string(name);
}

Status LocalStore::open() {
    if (files_.make_folder(folder_, 0750) != 0 && errno != EEXIST) {
        return io_error("create folder", folder_, errno);
    }
    for (const std::string_view name : {kNewName, kKeepName}) {
        if (files_.unlink(path(name)) != 0 && errno != ENOENT) {
            return io_error("remove", path(name), errno);
        }
    }
    return Ok{};
}

Result<std::optional<Stored>> LocalStore::read_file(const std::string& file) {
    const int fd = retried([&] { return files_.open(file, O_RDONLY, 0); });
    if (fd < 0) {
        if (errno == ENOENT) { return std::optional<Stored>{}; }
        return io_error("open", file, errno);
    }
    std::string bytes;
    std::array<char, 65536> chunk;
    ssize_t got = 0;
    while ((got = retried([&] { return files_.read(fd, chunk.data(), chunk.size()); })) > 0) {
        bytes.append(chunk.data(), static_cast<std::size_t>(got));
        if (bytes.size() > kDocumentBytesMax + kHeaderMax) { break; }
    }
    const int number = errno;
    files_.close(fd);
    if (got < 0) { return io_error("read", file, number); }
    std::optional<Stored> stored = unpack(std::move(bytes));
    if (!stored) {
        return Error{Errc::kInvalid, file + " is damaged: its checksum does not fit", ""};
    }
    return stored;
}

Result<Stored> LocalStore::load() {
    Result<std::optional<Stored>> current = read_file(path(kCurrentName));
    if (current.ok() && current.value()) {
        current_ = Current::kWhole;
        generation_ = current.value()->generation;
        return *std::move(current).value();
    }
    if (!current.ok() && current.error().code == Errc::kIo) { return current.error(); }
    current_ = current.ok() ? Current::kAbsent : Current::kDamaged;
    Result<std::optional<Stored>> previous = read_file(path(kPreviousName));
    if (previous.ok() && !previous.value() && current.ok()) { return Stored{}; }
    const std::string why =
        current.ok() ? path(kCurrentName) + " is missing" : current.error().message;
    if (!previous.ok()) { return Error{Errc::kIo, why + ", and " + previous.error().message, ""}; }
    if (!previous.value()) { return Error{Errc::kIo, why + ", and there is no previous one", ""}; }
    Stored stored = *std::move(previous).value();
    generation_ = stored.generation;
    stored.warning = why + "; generation " + std::to_string(stored.generation) + " of " +
                     path(kPreviousName) + " is used instead";
    return stored;
}

Result<Stored> LocalStore::load_previous() {
    Result<std::optional<Stored>> previous = read_file(path(kPreviousName));
    if (!previous.ok()) { return previous.error(); }
    if (!previous.value()) {
        return Error{Errc::kNotFound, "there is no previous document to roll back to", ""};
    }
    return *std::move(previous).value();
}

Status LocalStore::write_all(int fd, const std::string& file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t put = retried([&] { return files_.write(fd, bytes.data(), bytes.size()); });
        if (put <= 0) { return io_error("write", file, put < 0 ? errno : ENOSPC); }
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
    return Ok{};
}

Status LocalStore::write_file(const std::string& file, std::uint64_t generation,
                              std::string_view document) {
    const int fd =
        retried([&] { return files_.open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640); });
    if (fd < 0) { return io_error("create", file, errno); }
    Status status = write_all(fd, file, header_of(generation, document));
    if (status.ok()) { status = write_all(fd, file, document); }
    if (status.ok() && retried([&] { return files_.fsync(fd); }) != 0) {
        status = io_error("fsync", file, errno);
    }
    if (files_.close(fd) != 0 && status.ok()) { status = io_error("close", file, errno); }
    return status;
}

Status LocalStore::keep_current() {
    if (current_ != Current::kWhole) { return Ok{}; }
    const std::string keep = path(kKeepName);
    if (files_.unlink(keep) != 0 && errno != ENOENT) { return io_error("remove", keep, errno); }
    if (files_.link(path(kCurrentName), keep) != 0) { return io_error("link", keep, errno); }
    if (files_.rename(keep, path(kPreviousName)) != 0) {
        return io_error("rename", path(kPreviousName), errno);
    }
    return Ok{};
}

Status LocalStore::sync_folder() {
    const int fd = retried([&] { return files_.open(folder_, O_RDONLY | O_DIRECTORY, 0); });
    if (fd < 0) { return io_error("open folder", folder_, errno); }
    const int result = retried([&] { return files_.fsync(fd); });
    const int number = errno;
    files_.close(fd);
    if (result != 0) { return io_error("fsync folder", folder_, number); }
    return Ok{};
}

Status LocalStore::check_current(std::uint64_t generation) {
    if (is_unwanted_) {
        if (Status taken = take_back(); !taken.ok()) { return taken; }
    }
    if (current_ == Current::kUnknown) {
        const Result<Stored> loaded = load();
        if (!loaded.ok() && current_ == Current::kUnknown) { return loaded.error(); }
    }
    if (generation <= generation_) {
        return Error{Errc::kState,
                     "generation " + std::to_string(generation) + " is not after the stored one, " +
                         std::to_string(generation_),
                     ""};
    }
    return Ok{};
}

// The new file is in place, but its durability is not sure: makes the old one current again. On a
// disk that fails still, the next save begins with it.
Status LocalStore::take_back() {
    const std::string current = path(kCurrentName);
    const std::string keep = path(kKeepName);
    if (had_none_) {
        if (files_.unlink(current) != 0 && errno != ENOENT) {
            return io_error("remove", current, errno);
        }
    } else if ((files_.unlink(keep) != 0 && errno != ENOENT) ||
               files_.link(path(kPreviousName), keep) != 0 || files_.rename(keep, current) != 0) {
        return io_error("restore", current, errno);
    }
    is_unwanted_ = false;
    current_ = Current::kUnknown;  // Looked at again before the next save.
    return Ok{};
}

Status LocalStore::save(std::uint64_t generation, std::string_view document) {
    const Status prepared = prepare(generation, document);
    return prepared.ok() ? commit() : prepared;
}

Status LocalStore::prepare(std::uint64_t generation, std::string_view document) {
    Status status = check_current(generation);
    if (!status.ok()) { return status; }
    status = write_file(path(kNewName), generation, document);
    if (!status.ok()) {
        discard();
        return status;
    }
    prepared_ = generation;
    return Ok{};
}

void LocalStore::discard() {
    (void)files_.unlink(path(kNewName));
    prepared_ = 0;
}

Status LocalStore::commit() {
    SLUICE_ASSERT(prepared_ != 0);
    Status status = keep_current();
    if (status.ok() && files_.rename(path(kNewName), path(kCurrentName)) != 0) {
        status = io_error("rename", path(kCurrentName), errno);
    }
    if (!status.ok()) {
        discard();
        return status;
    }
    status = sync_folder();
    if (!status.ok()) {
        prepared_ = 0;
        is_unwanted_ = true;
        had_none_ = current_ == Current::kAbsent;
        (void)take_back();
        return status;
    }
    current_ = Current::kWhole;
    generation_ = std::exchange(prepared_, 0);
    return Ok{};
}

}  // namespace sluice::agent
