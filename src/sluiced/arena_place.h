// SPDX-License-Identifier: Apache-2.0
// Where the arena lies and how it is opened: by --arena, else in memory-backed folders that are
// there. What can't be had is warned of, and nothing survives then; the daemon starts all the same.
// Before the dataplane is made; control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "datapath/arena.h"
#include "src/host/name_log.h"
#include "src/sluiced/options.h"

namespace sluice::daemon {

/// An arena and the names that its numbers stand for.
struct OpenedArena {
    std::shared_ptr<datapath::Arena> arena;  ///< Never null.
    std::unique_ptr<host::NameLog> names;    ///< Null: nothing survives.
};

/// Folders of the arena: `records` is on hugetlbfs, or empty.
struct ArenaPlace {
    std::string folder;
    std::string records;
};

/// By the options; `folder` is empty for "none". Looks at the file systems, makes nothing.
[[nodiscard]] ArenaPlace arena_place(const Options& options);

/// @param seed  of a new arena
/// @param beside_owner  its owner runs, and will hand over: nothing is written
[[nodiscard]] OpenedArena open_arena(const Options& options, std::uint64_t seed, bool beside_owner);

}  // namespace sluice::daemon
