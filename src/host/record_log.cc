// SPDX-License-Identifier: Apache-2.0
// RecordLog: see record_log.h. A record: length of the key (2 bytes), kind (1), nothing (1), check
// (4), number (8), key.
#include "src/host/record_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "sluice/base/assert.h"

namespace sluice::host {
namespace {

struct Head {
    std::uint16_t key_size;
    std::uint8_t kind;
    std::uint8_t reserved;
    std::uint32_t check;
    std::uint64_t number;
};
static_assert(sizeof(Head) == 16);

// FNV-1a over all but itself.
std::uint32_t check_of(const Head& head, std::string_view key) noexcept {
    std::uint64_t sum = 0xcbf29ce484222325ULL;
    const auto add = [&sum](std::uint64_t value) { sum = (sum ^ value) * 0x100000001b3ULL; };
    add(head.key_size);
    add(head.kind);
    add(head.number);
    for (const char c : key) { add(static_cast<unsigned char>(c)); }
    return static_cast<std::uint32_t>(sum ^ sum >> 32U) | 1U;
}

void put(std::string& out, const RecordLog::Record& record) {
    SLUICE_ASSERT(record.key.size() <= 0xffffU);
    Head head{static_cast<std::uint16_t>(record.key.size()), record.kind, 0, 0, record.number};
    head.check = check_of(head, record.key);
    out.append(reinterpret_cast<const char*>(&head), sizeof head);
    out.append(record.key);
}

std::string to_bytes(const std::vector<RecordLog::Record>& records) {
    std::string out;
    for (const RecordLog::Record& record : records) { put(out, record); }
    return out;
}

// Bytes of `bytes` that are whole records, which are appended to `out`.
std::size_t take_whole(std::string_view bytes, std::vector<RecordLog::Record>& out) {
    std::size_t at = 0;
    while (bytes.size() - at >= sizeof(Head)) {
        Head head;
        std::memcpy(&head, bytes.data() + at, sizeof head);
        if (bytes.size() - at - sizeof head < head.key_size) { break; }
        const std::string_view key = bytes.substr(at + sizeof head, head.key_size);
        if (head.check != check_of(head, key)) { break; }
        out.push_back({head.kind, head.number, std::string(key)});
        at += sizeof head + head.key_size;
    }
    return at;
}

Result<std::string> read_all(int fd, const std::string& path) {
    struct stat found {};
    if (fstat(fd, &found) != 0) { return Error{Errc::kIo, path + ": " + std::strerror(errno), ""}; }
    std::string bytes(static_cast<std::size_t>(found.st_size), '\0');
    std::size_t at = 0;
    while (at < bytes.size()) {
        const ssize_t got = pread(fd, bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
        if (got < 0 && errno == EINTR) { continue; }
        if (got <= 0) { break; }
        at += static_cast<std::size_t>(got);
    }
    bytes.resize(at);
    return bytes;
}

}  // namespace

RecordLog::~RecordLog() {
    if (fd_ >= 0) { close(fd_); }
}

Error RecordLog::failed(const char* what) const {
    return Error{Errc::kIo, "arena: " + path_ + ": " + what + ": " + std::strerror(errno), ""};
}

Result<std::vector<RecordLog::Record>> RecordLog::load(const std::string& path) {
    path_ = path;
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) { return failed("can't be opened"); }
    Result<std::string> bytes = read_all(fd_, path);
    if (!bytes) { return bytes.error(); }
    std::vector<Record> records;
    const std::size_t whole = take_whole(bytes.value(), records);
    if (whole != bytes.value().size() && ftruncate(fd_, static_cast<off_t>(whole)) != 0) {
        return failed("can't be cut");
    }
    return records;
}

Result<std::vector<RecordLog::Record>> RecordLog::read() const {
    Result<std::string> bytes = read_all(fd_, path_);
    if (!bytes) { return bytes.error(); }
    std::vector<Record> records;
    take_whole(bytes.value(), records);
    return records;
}

Status RecordLog::write_all(int fd, std::string_view bytes) const {
    while (!bytes.empty()) {
        const ssize_t written = write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) { continue; }
        if (written <= 0) { return failed("can't be written"); }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return Ok{};
}

Status RecordLog::rewrite(const std::vector<Record>& records) {
    const std::string next = path_ + ".new";
    const int fd =
        open(next.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) { return failed("can't be made"); }
    Status written = write_all(fd, to_bytes(records));
    if (written && rename(next.c_str(), path_.c_str()) != 0) { written = failed("rename"); }
    if (!written) {
        close(fd);
        return written;
    }
    if (fd_ >= 0) { close(fd_); }
    fd_ = fd;
    return Ok{};
}

Status RecordLog::append(const std::vector<Record>& records) {
    if (fd_ < 0 || records.empty()) { return Ok{}; }
    Status written = write_all(fd_, to_bytes(records));
    if (written) { return Ok{}; }
    [[maybe_unused]] const int cut = ftruncate(fd_, 0);  // Half of the names are worse than none.
    close(fd_);
    fd_ = -1;
    return written;
}

}  // namespace sluice::host
