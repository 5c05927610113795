// SPDX-License-Identifier: Apache-2.0
// LocalStore: the applied document on disk, so that a restarted daemon runs what it ran.
//
// Theory of operation. The folder holds `host.json` (what runs), `host.json.previous` (what ran
// before, for rollback and for a damaged host.json) and, while a save is on its way,
// `host.json.new` and `host.json.keep`. A file is one header line with format, generation and
// SHA-256 of generation and body, then the document.
//   save:  write new, fsync, close | link host.json to keep | rename keep to previous | rename new
//   to host.json |
//          fsync of the folder
// Only the last rename touches host.json, and previous is replaced only by a host.json that is
// known to be whole, so a crash after any step leaves the old or the new document to load, never
// neither. One caller at a time, on the control thread or its helper: calls block on the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "controller-agent/file_system.h"
#include "sluice/base/result.h"

namespace sluice::agent {

/// A document as it was saved.
struct Stored {
    std::uint64_t generation = 0;  ///< 0 only if nothing was ever saved.
    std::string document;          ///< JSON text; empty if nothing was ever saved.
    std::string
        warning;  ///< One sentence if host.json was not usable and this is the previous one.
};

/// The state folder of one daemon.
class LocalStore {
public:
    explicit LocalStore(std::string folder, FileSystem& files = machine_file_system());

    /// Creates the folder (not its parents) if it is missing and removes what an interrupted save
    /// left.
    [[nodiscard]] Status open();

    /// host.json; the previous one with a warning if host.json is damaged or gone; an empty Stored
    /// if there is neither. kIo if no file can be used although there is one, or a system call
    /// failed.
    [[nodiscard]] Result<Stored> load();

    /// What ran before, for rollback. kNotFound if nothing did.
    [[nodiscard]] Result<Stored> load_previous();

    /// Makes `document` what load() gives, durably. On an error the old one stays, also with a full
    /// disk.
    /// @param generation  greater than the one that is stored, else kState
    [[nodiscard]] Status save(std::uint64_t generation, std::string_view document);

    /// The first part of save(), which takes longest: the document is on disk, load() gives the old
    /// one still. Then either commit() or discard().
    [[nodiscard]] Status prepare(std::uint64_t generation, std::string_view document);
    /// The second part: what was prepared is what load() gives.
    [[nodiscard]] Status commit();
    void discard();

private:
    enum class Current : std::uint8_t { kUnknown, kAbsent, kWhole, kDamaged };

    [[nodiscard]] std::string path(std::string_view name) const;
    /// nullopt: no such file.
    [[nodiscard]] Result<std::optional<Stored>> read_file(const std::string& path);
    [[nodiscard]] Status write_file(const std::string& path, std::uint64_t generation,
                                    std::string_view document);
    [[nodiscard]] Status write_all(int fd, const std::string& path, std::string_view bytes);
    [[nodiscard]] Status keep_current();
    [[nodiscard]] Status sync_folder();
    [[nodiscard]] Status check_current(std::uint64_t generation);
    [[nodiscard]] Status take_back();

    std::string folder_;
    FileSystem& files_;
    Current current_ = Current::kUnknown;
    std::uint64_t generation_ = 0;  // Of the last good file seen.
    std::uint64_t prepared_ = 0;    // Generation that waits for commit(); 0 = none.
    bool is_unwanted_ = false;      // host.json is of a save that failed.
    bool had_none_ = false;         // Before that save.
};

}  // namespace sluice::agent
