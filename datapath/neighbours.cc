// SPDX-License-Identifier: Apache-2.0
// Neighbours: see neighbours.h.
#include "datapath/neighbours.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "datapath/limits.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kMsNs = 1'000'000;
constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kAgeNs = kNeighbourAgeS * kSecondNs;
constexpr std::uint64_t kOldNs = kAgeNs * 2 / 3;   // From then on a row that is used is replaced.
constexpr std::uint64_t kWatchNs = 5 * kSecondNs;  // So long its users have to be seen.

std::uint32_t tag_of(DomainId domain, const IpAddr& ip) noexcept {
    std::uint64_t words[2];
    std::memcpy(words, ip.bytes.data(), sizeof words);
    std::uint64_t hash = (words[0] ^ domain.value) * 0x9e3779b97f4a7c15U;
    hash = (hash ^ (hash >> 32U) ^ words[1]) * 0xd6e8feb86659fd93U;
    return static_cast<std::uint32_t>(hash >> 32U) | 1U;  // 0 is free.
}

// Questions of snapshots before may name what has gone, or has moved.
bool is_current(const Snapshot& snapshot, const NeighbourQuestion& question) noexcept {
    if (question.is_underlay) {
        return question.index < snapshot.vteps.size() &&
               snapshot.vteps[question.index].underlay == question.domain;
    }
    return question.index < snapshot.domains.size() &&
           snapshot.domains[question.index].id == question.domain;
}

bool is_same(const NeighbourQuestion& a, const NeighbourQuestion& b) noexcept {
    return a.domain == b.domain && a.index == b.index && a.is_underlay == b.is_underlay &&
           a.ip == b.ip;
}

std::optional<LearnedValue> row_of(const WorkerContext& context, DomainId domain,
                                   const IpAddr& ip) noexcept {
    return context.learned.find(LearnedKey::neighbour(domain, ip), context.now_ns);
}

// By an answer, or by a controller: frames for it need not wait.
bool is_resolved(const WorkerContext& context, const NeighbourQuestion& question) noexcept {
    if (row_of(context, question.domain, question.ip)) { return true; }
    return !question.is_underlay && is_current(*context.snapshot, question) &&
           told_mac(context, question.index, question.ip);
}

}  // namespace

struct NeighbourQueue::Entry {
    State state = State::kFree;
    bool is_answered = false;
    std::uint8_t asked = 0;  // Questions.
    std::uint8_t frame_count = 0;
    PortIndex asker = kNoPort;  // Where the first frame entered.
    NeighbourQuestion question;
    std::uint64_t due_ns = 0;          // Next question, or the end.
    std::uint64_t row_expires_ns = 0;  // kRefreshing: of the row that is to be replaced.
    std::array<rte_mbuf*, kNeighbourHeldMax> frames{};
};

// A resolved address that this worker asked for.
struct NeighbourQueue::Kept {
    NeighbourQuestion question;
    std::uint64_t check_ns = 0;
    bool is_watched = false;       // Flows were made to look at it: who uses it touches the row.
    std::uint64_t watched_ns = 0;  // Since then.
};

NeighbourQueue::NeighbourQueue()
    : entries_(std::make_unique<Entry[]>(kNeighbourWaitMax)),
      port_counts_(kPortMax),
      port_buffers_(kPortMax + 1) {
    kept_.reserve(kNeighbourKeptMax);
}

NeighbourQueue::~NeighbourQueue() {
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        for (std::uint8_t f = 0; f < entries_[i].frame_count; ++f) {
            rte_pktmbuf_free(entries_[i].frames[f]);
        }
    }
}

template <typename Visit>
void NeighbourQueue::for_each_of(DomainId domain, const IpAddr& ip, Visit&& visit) const noexcept {
    if (size_ == 0) { return; }
    const std::uint32_t tag = tag_of(domain, ip);
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] != tag) { continue; }
        Entry& entry = entries_[i];
        if (entry.question.domain == domain && entry.question.ip == ip) { visit(entry); }
    }
}

NeighbourQueue::Entry* NeighbourQueue::find(const NeighbourQuestion& question) noexcept {
    Entry* found = nullptr;
    for_each_of(question.domain, question.ip, [&](Entry& entry) {
        if (is_same(entry.question, question)) { found = &entry; }
    });
    return found;
}

// Ends the one of the addresses that did not answer for which `condition` holds that is next to.
template <typename Condition>
bool NeighbourQueue::evict(Condition&& condition) noexcept {
    Entry* oldest = nullptr;
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        Entry& entry = entries_[i];
        if (entry.state == State::kUnreachable && condition(entry) &&
            (oldest == nullptr || entry.due_ns < oldest->due_ns)) {
            oldest = &entry;
        }
    }
    if (oldest == nullptr) { return false; }
    close(*oldest);
    return true;
}

bool NeighbourQueue::make_room(const NeighbourQuestion& question, PortIndex asker) noexcept {
    if (!question.is_underlay) {
        if (asker.value < kPortMax && port_counts_[asker.value] >= kNeighbourWaitPerPortMax &&
            !evict([&](const Entry& entry) { return entry.asker == asker; })) {
            return false;
        }
        if (tenant_size_ >= kNeighbourWaitMax - kNeighbourWaitReserve &&
            !evict([](const Entry& entry) { return !entry.question.is_underlay; })) {
            return false;
        }
    }
    return size_ < kNeighbourWaitMax || evict([](const Entry&) { return true; });
}

NeighbourQueue::Entry* NeighbourQueue::open(WorkerContext& context,
                                            const NeighbourQuestion& question,
                                            PortIndex asker) noexcept {
    if (!make_room(question, asker)) { return nullptr; }
    const auto free = std::find(tags_.begin(), tags_.end(), 0U);
    Entry& entry = entries_[static_cast<std::size_t>(free - tags_.begin())];
    *free = tag_of(question.domain, question.ip);
    entry = Entry{};
    entry.state = State::kAsking;
    entry.question = question;
    if (!question.is_underlay && asker.value < kPortMax) {
        entry.asker = asker;
        ++port_counts_[asker.value];
    }
    ++size_;
    if (!question.is_underlay) { ++tenant_size_; }
    ask(context, entry);
    return &entry;
}

// Its frames are somebody else's by now.
void NeighbourQueue::close(Entry& entry) noexcept {
    tags_[static_cast<std::size_t>(&entry - entries_.get())] = 0;
    if (entry.asker != kNoPort) { --port_counts_[entry.asker.value]; }
    --size_;
    if (!entry.question.is_underlay) { --tenant_size_; }
    entry = Entry{};
}

// The question may make the worker send what waits elsewhere, and so come back here: last of all.
void NeighbourQueue::ask(WorkerContext& context, Entry& entry) noexcept {
    ++entry.asked;
    entry.due_ns = context.now_ns + kNeighbourProbeMs * kMsNs;
    due_ns_ = std::min(due_ns_, entry.due_ns);
    const NeighbourQuestion question = entry.question;
    question.ask(context, question);
}

void NeighbourQueue::hold(WorkerContext& context, const NeighbourQuestion& question,
                          rte_mbuf* frame) noexcept {
    Entry* entry = find(question);
    if (entry == nullptr) {
        entry = open(context, question, PortIndex{frame->port});
        // Learned since the caller looked.
        if (entry != nullptr && is_resolved(context, question)) {
            entry->is_answered = is_answered_ = true;
        }
    }
    if (entry != nullptr && entry->state == State::kUnreachable && !entry->is_answered) {
        return drop(context, frame, DropReason::kNeighbourUnreachable);
    }
    if (entry == nullptr || entry->frame_count == kNeighbourHeldMax || !has_room(context, *frame)) {
        return drop(context, frame, DropReason::kNeighbourQueueFull);
    }
    if (entry->state == State::kRefreshing) { entry->state = State::kAsking; }
    if (entry->frame_count == 0) { entry->question = question; }  // Who asked first may hold none.
    entry->frames[entry->frame_count++] = frame;
    ++held_count_;
    held_buffers_ += frame->nb_segs;
    port_buffers_[slot_of(PortIndex{frame->port})] += frame->nb_segs;
}

// A vNIC that asks for what nobody has fills its own part only.
bool NeighbourQueue::has_room(const WorkerContext& context, const rte_mbuf& frame) const noexcept {
    const std::uint32_t buffers_max =
        context.options.pool->size / context.options.worker_count / kNeighbourHeldPoolShare;
    const std::uint32_t of_port = held_buffers(PortIndex{frame.port});
    return held_buffers_ + frame.nb_segs <= buffers_max &&
           of_port + frame.nb_segs <= buffers_max / kNeighbourHeldPortShare;
}

void NeighbourQueue::release(const Entry& entry) noexcept {
    for (std::uint8_t i = 0; i < entry.frame_count; ++i) {
        const rte_mbuf& frame = *entry.frames[i];
        --held_count_;
        held_buffers_ -= frame.nb_segs;
        port_buffers_[slot_of(PortIndex{frame.port})] -= frame.nb_segs;
    }
}

void NeighbourQueue::want(WorkerContext& context, const NeighbourQuestion& question) noexcept {
    if (find(question) != nullptr || is_resolved(context, question)) { return; }
    if (size_ - tenant_size_ >= kNeighbourWaitMax / 2) { return; }  // Frames come first.
    static_cast<void>(open(context, question, kNoPort));
}

void NeighbourQueue::refresh(WorkerContext& context, const NeighbourQuestion& question) noexcept {
    const auto row = row_of(context, question.domain, question.ip);
    if (!row || find(question) != nullptr) { return; }
    Entry* entry = open(context, question, kNoPort);
    if (entry == nullptr) { return; }
    entry->state = State::kRefreshing;
    entry->row_expires_ns = row->expires_ns;
}

// Not again while the last answer is fresh: a flood of claims makes no flood of questions.
void NeighbourQueue::doubt(WorkerContext& context, DomainId domain, const IpAddr& ip) noexcept {
    for (const Kept& kept : kept_) {
        if (kept.question.domain != domain || !(kept.question.ip == ip)) { continue; }
        const bool is_fresh = kept.check_ns > context.now_ns + kOldNs - kSecondNs;
        const NeighbourQuestion question = kept.question;
        if (!is_fresh) { refresh(context, question); }
        return;
    }
}

bool NeighbourQueue::is_asking(DomainId domain, const IpAddr& ip) const noexcept {
    bool found = false;
    for_each_of(domain, ip, [&](const Entry&) { found = true; });
    return found;
}

void NeighbourQueue::note_answer(DomainId domain, const IpAddr& ip) noexcept {
    for_each_of(domain, ip, [&](Entry& entry) { entry.is_answered = true; });
    is_answered_ = true;
}

void NeighbourQueue::drop_held(WorkerContext& context, Entry& entry) noexcept {
    const Entry ended = entry;  // Who is told may come back here.
    entry.frame_count = 0;
    release(ended);
    for (std::uint8_t i = 0; i < ended.frame_count; ++i) {
        rte_mbuf* frame = ended.frames[i];
        if (ended.question.give_up != nullptr) {
            ended.question.give_up(context, ended.question, *frame);
        }
        drop(context, frame, DropReason::kNeighbourUnreachable);
    }
}

std::uint32_t NeighbourQueue::resume(WorkerContext& context, Entry& entry) noexcept {
    const Entry answered = entry;  // The frames may come back.
    close(entry);
    keep(answered.question, context.now_ns);
    release(answered);
    for (std::uint8_t i = 0; i < answered.frame_count; ++i) {
        answered.question.resume(context, answered.question, answered.frames[i]);
    }
    return answered.frame_count;
}

// A row that can't be replaced is gone, and asked for anew by whom needs it.
void NeighbourQueue::give_up(WorkerContext& context, Entry& entry) noexcept {
    if (entry.state == State::kRefreshing) {
        context.learned.forget(LearnedKey::neighbour(entry.question.domain, entry.question.ip));
        context.refresh_stamp();
        return close(entry);
    }
    entry.state = State::kUnreachable;
    entry.due_ns = context.now_ns + kNeighbourUnreachableMs * kMsNs;
    drop_held(context, entry);
}

void NeighbourQueue::serve(WorkerContext& context, Entry& entry) noexcept {
    if (entry.state == State::kUnreachable) { return close(entry); }
    if (entry.state == State::kRefreshing) {  // Another worker may have heard the answer.
        const auto row = row_of(context, entry.question.domain, entry.question.ip);
        if (row && row->expires_ns > entry.row_expires_ns) {
            resume(context, entry);
            return;
        }
    }
    if (entry.asked < kNeighbourProbeCount) { return ask(context, entry); }
    give_up(context, entry);
}

void NeighbourQueue::serve_due(WorkerContext& context) noexcept {
    due_ns_ = std::numeric_limits<std::uint64_t>::max();
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] != 0 && entries_[i].due_ns <= context.now_ns) { serve(context, entries_[i]); }
    }
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] != 0) { due_ns_ = std::min(due_ns_, entries_[i].due_ns); }
    }
}

// Another worker may have learned what this one waits for, or a controller have told it.
void NeighbourQueue::note_rows(const WorkerContext& context) noexcept {
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] == 0 || entries_[i].state == State::kRefreshing) { continue; }
        if (is_resolved(context, entries_[i].question)) {
            entries_[i].is_answered = true;
            is_answered_ = true;
        }
    }
}

std::uint32_t NeighbourQueue::resume_answered(WorkerContext& context) noexcept {
    is_answered_ = false;
    std::uint32_t count = 0;
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] != 0 && entries_[i].is_answered) { count += resume(context, entries_[i]); }
    }
    return count;
}

void NeighbourQueue::prune(WorkerContext& context) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    for (std::size_t i = 0; i < kNeighbourWaitMax; ++i) {
        if (tags_[i] == 0 || is_current(snapshot, entries_[i].question)) { continue; }
        entries_[i].question.give_up = nullptr;  // What it would read is gone.
        drop_held(context, entries_[i]);
        close(entries_[i]);
    }
    std::erase_if(kept_, [&](const Kept& kept) { return !is_current(snapshot, kept.question); });
}

void NeighbourQueue::keep(const NeighbourQuestion& question, std::uint64_t now_ns) noexcept {
    const auto known = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
        return is_same(kept.question, question);
    });
    const Kept fresh{question, now_ns + kOldNs, false, 0};
    if (known != kept_.end()) {
        *known = fresh;
    } else if (kept_.size() < kNeighbourKeptMax) {
        kept_.push_back(fresh);
    }
}

bool NeighbourQueue::check_kept(WorkerContext& context, Kept& kept, bool& is_news) noexcept {
    const auto row = row_of(context, kept.question.domain, kept.question.ip);
    if (!row) { return false; }
    kept.check_ns = context.now_ns + kWatchNs;
    if (!kept.is_watched) {
        kept.is_watched = is_news = true;
        kept.watched_ns = context.now_ns;
    } else if (row->last_seen_ns >= kept.watched_ns) {
        refresh(context, kept.question);
    }
    return true;
}

void NeighbourQueue::look_at_kept(WorkerContext& context) noexcept {
    keep_ns_ = context.now_ns + kSecondNs;
    bool is_news = false;
    for (std::size_t i = 0; i < kept_.size();) {
        if (kept_[i].check_ns > context.now_ns || check_kept(context, kept_[i], is_news)) {
            ++i;
            continue;
        }
        kept_[i] = kept_.back();
        kept_.pop_back();
    }
    if (!is_news) { return; }
    watch_ns_ = context.now_ns;
    context.learned
        .note_change();  // Cached flows look at their neighbours again: so they are seen.
    context.refresh_stamp();
}

std::uint32_t NeighbourQueue::look(WorkerContext& context) noexcept {
    if (generation_ != context.snapshot->generation) {
        generation_ = context.snapshot->generation;
        prune(context);
    }
    if (!kept_.empty() && context.now_ns >= keep_ns_) { look_at_kept(context); }
    if (size_ == 0) { return 0; }
    const std::uint32_t epoch = context.learned.epoch();
    if (epoch != epoch_) {
        epoch_ = epoch;
        note_rows(context);
    }
    const std::uint32_t resumed = is_answered_ ? resume_answered(context) : 0;
    if (context.now_ns >= due_ns_) { serve_due(context); }
    return resumed;
}

void hold_for_neighbour(WorkerContext& context, const NeighbourQuestion& question,
                        rte_mbuf* frame) noexcept {
    context.neighbours.hold(context, question, frame);
}

void want_neighbour(WorkerContext& context, const NeighbourQuestion& question) noexcept {
    context.neighbours.want(context, question);
}

std::optional<MacAddr> find_neighbour(const WorkerContext& context, DomainId domain,
                                      const IpAddr& ip) noexcept {
    const auto row = row_of(context, domain, ip);
    if (!row) { return std::nullopt; }
    if (row->last_seen_ns < context.neighbours.watched_since() ||
        context.now_ns - std::min(row->last_seen_ns, context.now_ns) >= kSecondNs) {
        context.learned.touch(LearnedKey::neighbour(domain, ip), context.now_ns, row->expires_ns,
                              context.now_ns);
    }
    return row->mac;
}

bool is_asked_for(const WorkerContext& context, DomainId domain, const IpAddr& ip) noexcept {
    return context.neighbours.is_asking(domain, ip);
}

void learn_neighbour(WorkerContext& context, DomainId domain, const IpAddr& ip, const MacAddr& mac,
                     PortIndex where) noexcept {
    if (mac.is_group() || mac.is_zero()) { return; }
    LearnedValue value;
    value.mac = mac;
    value.port = where;
    value.source = ip.is_v4() ? LearnedSource::kArp : LearnedSource::kNd;
    value.expires_ns = context.now_ns + kAgeNs;
    const LearnResult result =
        context.learned.learn(LearnedKey::neighbour(domain, ip), value, 0, context.now_ns);
    if (result == LearnResult::kLimit || result == LearnResult::kFull) { return; }
    context.refresh_stamp();
    context.neighbours.note_answer(domain, ip);
}

void doubt_neighbour(WorkerContext& context, DomainId domain, const IpAddr& ip) noexcept {
    context.neighbours.doubt(context, domain, ip);
}

std::uint32_t look_at_neighbours(WorkerContext& context) noexcept {
    return context.neighbours.look(context);
}

}  // namespace sluice::datapath
