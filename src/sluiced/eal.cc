// SPDX-License-Identifier: Apache-2.0
// Eal: see eal.h.
#include "src/sluiced/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "sluice/base/limits.h"

namespace sluice::daemon {
namespace {

constexpr unsigned kPoolShare = 75;      // Per cent of the memory that packet buffers get.
constexpr unsigned kPoolCache = 256;     // Buffers a worker keeps to itself.
constexpr unsigned kBufferBytes = 2432;  // One buffer with its headers, about.

unsigned hugepage_mb(const char* which) {
    unsigned long pages = 0;
    std::ifstream(std::string("/sys/kernel/mm/hugepages/hugepages-2048kB/") + which) >> pages;
    return static_cast<unsigned>(pages * 2);
}

unsigned free_hugepage_mb() { return hugepage_mb("free_hugepages"); }

// Who takes over from a daemon that has hugepages must not go on without.
Status check_room_beside_other(const Options& options) {
    const unsigned free_mb = free_hugepage_mb();
    const bool has_enough = options.no_huge || free_mb >= options.memory_mb;
    if (has_enough || hugepage_mb("nr_hugepages") < options.memory_mb) { return Ok{}; }
    return Error{Errc::kLimit,
                 "memory: " + std::to_string(free_mb) + " MB of free 2 MB hugepages, " +
                     std::to_string(options.memory_mb) +
                     " MB wanted beside the running daemon (vm.nr_hugepages)",
                 ""};
}

// Where the control thread and its helpers may run: workers pin themselves, and nobody takes their
// cores away for the milliseconds of a compilation, unless there are no others.
cpu_set_t control_cores(const Options& options) {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    sched_getaffinity(0, sizeof usable, &usable);
    cpu_set_t others = usable;
    for (const int core : options.cores) { CPU_CLR(static_cast<std::size_t>(core), &others); }
    return CPU_COUNT(&others) > 0 ? others : usable;
}

std::string to_list(const cpu_set_t& cores) {
    std::string out;
    for (std::size_t core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &cores)) { out += (out.empty() ? "" : ",") + std::to_string(core); }
    }
    return out;
}

std::vector<std::string> eal_arguments(const Options& options, bool use_hugepages,
                                       const std::string& prefix) {
    std::vector<std::string> arguments{"sluiced",
                                       "--allow",  // No PCI device but those that are plugged in.
                                       "ffff:ff:1f.7",
                                       "--no-telemetry",
                                       "--file-prefix",
                                       prefix,
                                       "-m",
                                       std::to_string(options.memory_mb),
                                       "--log-level",
                                       "lib.*:error",
                                       "--log-level",
                                       "lib.vhost*:critical",
                                       "--log-level",
                                       "pmd.*:critical"};
    arguments.insert(arguments.end(), {"--lcores", "0@(" + to_list(control_cores(options)) + ")"});
    if (use_hugepages) {
        arguments.insert(arguments.end(), {"--in-memory", "--single-file-segments"});
    } else {
        arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    }
    std::istringstream more(options.eal);
    for (std::string word; more >> word;) { arguments.push_back(word); }
    return arguments;
}

// rte_pktmbuf_pool_create() would give each buffer a 4 KiB page of its own where there are no
// hugepages, to suit devices that read memory themselves; there are none then.
rte_mempool* make_pool(unsigned buffers, bool uses_hugepages) {
    const unsigned flags = uses_hugepages ? 0U : unsigned{RTE_MEMPOOL_F_NO_IOVA_CONTIG};
    rte_pktmbuf_pool_private sizes{};
    sizes.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE;
    rte_mempool* pool = rte_mempool_create_empty("sluice_frames", buffers,
                                                 sizeof(rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
                                                 kPoolCache, sizeof sizes, SOCKET_ID_ANY, flags);
    if (pool == nullptr) { return nullptr; }
    rte_pktmbuf_pool_init(pool, &sizes);
    if (rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        return nullptr;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    return pool;
}

// Beside the admin socket. What daemons that were killed left there is cleared away.
Result<std::string> make_runtime_dir(const std::string& socket) {
    namespace fs = std::filesystem;
    const std::string start = ".sluiced-";
    std::error_code error;
    const fs::path beside = fs::absolute(socket, error).parent_path();
    fs::create_directories(beside, error);
    for (const auto& entry : fs::directory_iterator(beside, error)) {
        const std::string name = entry.path().filename().string();
        if (name.starts_with(start) && !fs::exists("/proc/" + name.substr(start.size()))) {
            std::error_code ignored;
            fs::remove_all(entry.path(), ignored);
        }
    }
    const fs::path folder = beside / (start + std::to_string(getpid()));
    if (mkdir(folder.c_str(), 0700) != 0) {
        return Error{Errc::kIo,
                     "can't make the folder " + folder.string() + ": " + std::strerror(errno), ""};
    }
    return folder.string();
}

int init_eal(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) { argv.push_back(argument.data()); }
    return rte_eal_init(static_cast<int>(argv.size()), argv.data());
}

}  // namespace

Result<std::unique_ptr<Eal>> Eal::start(const Options& options) {
    if (options.takeover_fd) {
        if (Status checked = check_room_beside_other(options); !checked) { return checked.error(); }
    }
    std::unique_ptr<Eal> eal(new Eal);
    Result<std::string> folder = make_runtime_dir(options.socket);
    if (!folder) { return folder.error(); }
    eal->runtime_dir_ = std::move(folder).value();
    setenv("RUNTIME_DIRECTORY", eal->runtime_dir_.c_str(), 1);  // DPDK's own files go there, too.
    const std::string prefix = "sluice_" + std::to_string(getpid());
    eal->uses_hugepages_ = !options.no_huge && free_hugepage_mb() >= options.memory_mb;
    if (!eal->uses_hugepages_ && !options.no_huge) {
        spdlog::warn(
            "memory: {} MB of free 2 MB hugepages, {} MB wanted: using 4 KiB pages, which is "
            "slower (reserve them with vm.nr_hugepages)",
            free_hugepage_mb(), options.memory_mb);
    }
    // EAL's own threads go where this one may run.
    const cpu_set_t cores = control_cores(options);
    sched_setaffinity(0, sizeof cores, &cores);
    if (init_eal(eal_arguments(options, eal->uses_hugepages_, prefix)) < 0) {
        return Error{Errc::kIo, std::string("DPDK's EAL did not start: ") + rte_strerror(rte_errno),
                     ""};
    }
    const unsigned buffers = options.memory_mb * 1024U * 1024U / 100U * kPoolShare / kBufferBytes;
    eal->pool_ = make_pool(buffers, eal->uses_hugepages_);
    if (eal->pool_ == nullptr) {
        return Error{Errc::kIo,
                     "memory: no room for " + std::to_string(buffers) + " packet buffers in " +
                         std::to_string(options.memory_mb) + " MB: " + rte_strerror(rte_errno),
                     ""};
    }
    return eal;
}

Eal::~Eal() {
    rte_mempool_free(pool_);
    rte_eal_cleanup();
    std::error_code ignored;
    if (!runtime_dir_.empty()) { std::filesystem::remove_all(runtime_dir_, ignored); }
}

}  // namespace sluice::daemon
