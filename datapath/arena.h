// SPDX-License-Identifier: Apache-2.0
// Arena: the memory of what outlives the process: records of connections, what was learned, service
// pins. A folder of files on tmpfs or hugetlbfs:
//
//   header       schema, boot, seed of the hashes; checked whole, replaced whole
//   connections  array of Connection (128 bytes)        learned  array of LearnedRecord (80 bytes)
//   pins         array of ServicePins, beside connections, while services are configured
//   lock         flock()ed by the process that writes
//
// Other files of the folder (names, guests, counters) belong to src/sluiced. Only records are kept:
// indexes are made anew (Dataplane::adopt). Without a folder all of it is memory of the process.
// All files are opened at the start; later nothing needs the path. Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "datapath/arena_region.h"
#include "sluice/base/limits.h"
#include "sluice/base/result.h"

namespace sluice::datapath {

/// Layout of the files. One more with each change of a record or of what its check covers; a
/// version reads its own and the one before.
inline constexpr std::uint32_t kArenaSchema = 4;
inline constexpr std::uint32_t kArenaSchemaOldest = 3;  ///< Without checks in records.

inline constexpr std::size_t kArenaRoomBytes =
    64U << 20U;  ///< Free room that a folder must have for an arena to begin there.
inline constexpr std::uint32_t kArenaAheadRecords =
    1U << 16U;  ///< Records that have room in the arena before they are used.
inline constexpr std::uint32_t kArenaTendMs = 20;  ///< Between looks at whether it is to grow.

struct ArenaOptions {
    std::string folder;          ///< Empty: memory of the process.
    std::string records_folder;  ///< Of the large files, hugetlbfs perhaps; empty: `folder`.
    std::uint32_t connection_capacity = kConnectionCapacityDefault;
    std::uint32_t learned_capacity = kLearnedCapacityDefault;
    std::uint64_t seed = 0;  ///< Of a new arena.
    std::string product;     ///< Version, for people.
    /// The owner still runs: nothing is written and no lock taken before take_over().
    bool beside_owner = false;
    unsigned lock_wait_ms = 2000;  ///< For an owner that is on its way out.
};

class Arena {
public:
    /// Memory of the process.
    explicit Arena(const ArenaOptions& options);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    /// Opens or makes the files. What does not fit (another boot, another schema, damage) is thrown
    /// away: why() says so. kState: somebody else has it; kLimit: no room; kDenied: not ours.
    [[nodiscard]] static Result<std::unique_ptr<Arena>> open(const ArenaOptions& options);

    /// Of one that was opened beside its owner, which has let go (release()): the lock, and what
    /// was added to the files since.
    [[nodiscard]] Status take_over();
    /// Lets another process take it over. The memory stays: take_over() gets it back.
    void release() noexcept;

    [[nodiscard]] bool is_kept() const noexcept { return !options_.folder.empty(); }
    /// True if it has what another process left.
    [[nodiscard]] bool is_found() const noexcept { return is_found_; }
    [[nodiscard]] bool is_owner() const noexcept { return owns_; }
    /// Why it began empty; empty if it did not, or is new.
    [[nodiscard]] const std::string& why() const noexcept { return why_; }
    [[nodiscard]] const std::string& folder() const noexcept { return options_.folder; }
    [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
    /// Of the files as they were found.
    [[nodiscard]] std::uint32_t schema() const noexcept { return schema_; }
    [[nodiscard]] const ArenaOptions& options() const noexcept { return options_; }

    [[nodiscard]] ArenaRegion& connections() noexcept { return connections_; }
    [[nodiscard]] ArenaRegion& learned() noexcept { return learned_; }
    [[nodiscard]] ArenaRegion& pins() noexcept { return pins_; }
    /// Maps what another process has added.
    [[nodiscard]] Status reload();
    /// From here on the files have kArenaSchema: records were adopted.
    [[nodiscard]] Status note_adopted();

private:
    [[nodiscard]] Status open_files();
    [[nodiscard]] Status take_lock(unsigned wait_ms);
    [[nodiscard]] std::string read_header();
    [[nodiscard]] Status begin_anew();
    [[nodiscard]] Status write_header();
    [[nodiscard]] std::string path_of(const char* name) const;
    [[nodiscard]] std::string records_path_of(const char* name) const;

    ArenaOptions options_;
    ArenaRegion connections_;
    ArenaRegion learned_;
    ArenaRegion pins_;
    std::uint64_t seed_;
    std::uint32_t schema_ = kArenaSchema;
    std::string why_;
    bool is_found_ = false;
    bool owns_ = false;
    int lock_fd_ = -1;
};

/// Files of the folder that begin anew with the arena.
inline constexpr const char* kArenaNamesFile = "names";
inline constexpr const char* kArenaGuestsFile = "guests";
inline constexpr const char* kArenaCountersFile = "counters";

}  // namespace sluice::datapath
