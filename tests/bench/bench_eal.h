// SPDX-License-Identifier: Apache-2.0
// What benchmarks share: an EAL of their own (hugepages where there are any), a pool, a folder,
// pinning, the clock.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "src/sluiced/eal.h"

namespace sluice::bench {

/// Ends the program at once; the folder is left to the next start in it.
[[noreturn]] inline void fail(const std::string& why) {
    std::fprintf(stderr, "benchmark: %s\n", why.c_str());
    std::exit(1);
}

inline void pin_to_core(std::size_t core) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(core, &cpus);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}

inline std::uint64_t now_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1000000000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

/// The daemon's own start of DPDK, in a temporary folder.
class BenchEal {
public:
    /// @param parent  its folder is made in there
    explicit BenchEal(const std::string& parent = "/tmp")
        : folder_(parent + "/sluice-bench-XXXXXX") {
        if (mkdtemp(folder_.data()) == nullptr) { fail("no temporary folder in " + parent); }
        daemon::Options options;
        options.socket = folder_ + "/admin.sock";
        options.memory_mb = 256;
        auto started = daemon::Eal::start(options);
        if (!started) { fail(started.error().message); }
        eal_ = std::move(started).value();
    }
    ~BenchEal() {
        eal_.reset();
        rmdir(folder_.c_str());
    }
    [[nodiscard]] rte_mempool* pool() const { return eal_->pool(); }
    [[nodiscard]] const std::string& folder() const { return eal_->runtime_dir(); }

private:
    std::string folder_;
    std::unique_ptr<daemon::Eal> eal_;
};

}  // namespace sluice::bench
