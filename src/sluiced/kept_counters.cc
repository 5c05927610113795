// SPDX-License-Identifier: Apache-2.0
// KeptCounters: see kept_counters.h. A copy: Head, then words: the books, the ports that counted
// anything (index, figures), the rules that did (slot, figures).
#include "src/sluiced/kept_counters.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace sluice::daemon {
namespace {

constexpr std::uint64_t kCopyBytes = 16U << 20U;  // Room of one copy; the file is sparse.
constexpr std::size_t kBookWords = 8;
constexpr std::size_t kPortWords = offsetof(PortCounters, answered) / sizeof(Counter) + 1U;
constexpr std::size_t kRuleWords = sizeof(RuleCounters) / sizeof(Counter);
constexpr std::uint32_t kRuleSlots = 1U << kRuleSlotBits;

struct Head {
    std::uint64_t layout;
    std::uint64_t sequence;
    std::uint64_t words;
    std::uint64_t check;  // Of the words.
};

std::uint64_t mixed(std::uint64_t sum, std::uint64_t word) noexcept {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
    return sum ^ sum >> 32U;
}

std::uint64_t check_of(const std::vector<std::uint64_t>& words) noexcept {
    std::uint64_t sum = words.size();
    for (const std::uint64_t word : words) { sum = mixed(sum, word); }
    return sum;
}

// Figures of another layout mean something else: drop reasons are counted by their number.
std::uint64_t layout() noexcept {
    std::uint64_t sum = mixed(kPortWords, kSlotCount);
    for (std::size_t i = 0; i < kDropReasonCount; ++i) {
        for (const char c : to_string(static_cast<DropReason>(i))) {
            sum = mixed(sum, static_cast<unsigned char>(c));
        }
    }
    return sum;
}

std::span<const Counter> figures_of(const PortCounters& port) noexcept {
    return {reinterpret_cast<const Counter*>(&port), kPortWords};
}
std::span<const Counter> figures_of(const RuleCounters& rule) noexcept {
    return {reinterpret_cast<const Counter*>(&rule), kRuleWords};
}

/// Appends `index` and the sums over workers of what `of_worker` gives, unless all are zero.
template <std::size_t Count, typename OfWorker>
void put(std::vector<std::uint64_t>& out, std::uint64_t index, unsigned workers,
         const OfWorker& of_worker) {
    std::array<std::uint64_t, Count> sums{};
    std::uint64_t any = 0;
    for (unsigned w = 0; w < workers; ++w) {
        const std::span<const Counter> figures = of_worker(w);
        for (std::size_t i = 0; i < Count; ++i) { any |= sums[i] += figures[i].get(); }
    }
    if (any == 0) { return; }
    out.push_back(index);
    out.insert(out.end(), sums.begin(), sums.end());
}

std::vector<std::uint64_t> to_words(const datapath::Dataplane& dataplane, const Books& books) {
    std::vector<std::uint64_t> out{books.received,
                                   books.created,
                                   books.sent,
                                   books.consumed + books.held,
                                   books.dropped,
                                   0,
                                   0,
                                   0};
    const unsigned workers = dataplane.worker_count();
    const auto context = [&](unsigned w) -> const datapath::WorkerContext& {
        return dataplane.worker(w).context();
    };
    for (unsigned w = 0; w < workers; ++w) {
        out[5] += context(w).counters.flow_hits.get();
        out[6] += context(w).counters.flow_misses.get();
        out[7] += context(w).counters.unsealed_local.get();
    }
    const std::size_t count_at = out.size();
    out.push_back(0);
    for (std::uint64_t i = 0; i < kPortMax; ++i) {
        put<kPortWords>(out, i, workers,
                        [&](unsigned w) { return figures_of(context(w).ports[i]); });
    }
    out[count_at] = (out.size() - count_at - 1U) / (kPortWords + 1U);
    for (std::uint64_t i = 1; i < kRuleSlots; ++i) {
        put<kRuleWords>(out, i, workers,
                        [&](unsigned w) { return figures_of(context(w).rules[i]); });
    }
    return out;
}

void add(std::span<const Counter> figures, const std::uint64_t* words) noexcept {
    for (std::size_t i = 0; i < figures.size(); ++i) {
        const_cast<Counter&>(figures[i]).add(words[i]);
    }
}

// What the words say goes to one worker, which does not run.
void give(const std::vector<std::uint64_t>& words, datapath::WorkerContext& to) noexcept {
    if (words.size() <= kBookWords) { return; }
    WorkerCounters& books = to.counters;
    Counter* const counters[kBookWords] = {
        &books.received, &books.created,   &books.sent,        &books.consumed,
        &books.dropped,  &books.flow_hits, &books.flow_misses, &books.unsealed_local};
    for (std::size_t i = 0; i < kBookWords; ++i) { counters[i]->add(words[i]); }
    std::uint64_t ports = words[kBookWords];
    std::size_t at = kBookWords + 1U;
    for (; ports > 0 && words.size() - at > kPortWords; --ports, at += kPortWords + 1U) {
        if (words[at] < kPortMax) { add(figures_of(to.ports[words[at]]), &words[at + 1U]); }
    }
    for (; words.size() - at > kRuleWords; at += kRuleWords + 1U) {
        if (words[at] < kRuleSlots) { add(figures_of(to.rules[words[at]]), &words[at + 1U]); }
    }
}

bool transfer(bool writes, int fd, void* memory, std::size_t bytes, std::uint64_t at) noexcept {
    auto* next = static_cast<char*>(memory);
    while (bytes > 0) {
        const ssize_t done = writes ? pwrite(fd, next, bytes, static_cast<off_t>(at))
                                    : pread(fd, next, bytes, static_cast<off_t>(at));
        if (done < 0 && errno == EINTR) { continue; }
        if (done <= 0) { return false; }
        next += done;
        at += static_cast<std::uint64_t>(done);
        bytes -= static_cast<std::size_t>(done);
    }
    return true;
}

}  // namespace

KeptCounters::~KeptCounters() {
    if (fd_ >= 0) { close(fd_); }
}

bool KeptCounters::read_copy(unsigned copy, std::vector<std::uint64_t>& body) {
    Head head{};
    const std::uint64_t at = copy * kCopyBytes;
    if (!transfer(false, fd_, &head, sizeof head, at) || head.layout != layout() ||
        head.sequence <= sequence_ || head.words > (kCopyBytes - sizeof head) / 8U) {
        return false;
    }
    std::vector<std::uint64_t> words(head.words);
    if (!transfer(false, fd_, words.data(), words.size() * 8U, at + sizeof head) ||
        check_of(words) != head.check) {
        return false;
    }
    sequence_ = head.sequence;
    body = std::move(words);
    return true;
}

Status KeptCounters::load(const std::string& path, datapath::Dataplane& dataplane) {
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) {
        return Error{Errc::kIo, "arena: " + path + ": can't be opened: " + std::strerror(errno),
                     ""};
    }
    std::vector<std::uint64_t> newest;
    for (const unsigned copy : {0U, 1U}) { static_cast<void>(read_copy(copy, newest)); }
    give(newest, dataplane.worker(0).context());
    return Ok{};
}

Status KeptCounters::save(const datapath::Dataplane& dataplane, const Books& books) {
    if (fd_ < 0) { return Ok{}; }
    std::vector<std::uint64_t> words = to_words(dataplane, books);
    Head head{layout(), ++sequence_, words.size(), check_of(words)};
    const std::uint64_t at = sequence_ % 2U * kCopyBytes;
    if (transfer(true, fd_, words.data(), words.size() * 8U, at + sizeof head) &&
        transfer(true, fd_, &head, sizeof head, at)) {
        return Ok{};
    }
    const int failed = errno;
    close(std::exchange(fd_, -1));
    return Error{Errc::kIo,
                 std::string("arena: counters can't be written: ") + std::strerror(failed), ""};
}

}  // namespace sluice::daemon
