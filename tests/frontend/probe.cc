// SPDX-License-Identifier: Apache-2.0
// Probe: see probe.h. It polls, so that no wake-up of its own is part of a time.
#include "probe.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace sluice::frontend {
namespace {

constexpr std::chrono::seconds kLost{5};
constexpr std::chrono::milliseconds kLate{1};  // Only then is it worth asking who waited.
constexpr std::size_t kChecksumAt = 40;        // Of UDP behind Ethernet and IPv4.
constexpr std::size_t kNumberAt = 42;

std::uint64_t ns(Clock::duration time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

// The second number of a schedstat: nanoseconds that the thread was ready and had no core.
std::uint64_t waited(const Fd& file) {
    std::array<char, 96> text;
    const ssize_t size = file.valid() ? ::pread(file.get(), text.data(), text.size(), 0) : -1;
    if (size <= 0) { return 0; }
    const char* const end = text.data() + size;
    const char* const space = std::find(static_cast<const char*>(text.data()), end, ' ');
    std::uint64_t value = 0;
    if (space != end) { std::from_chars(space + 1, end, value); }
    return value;
}

}  // namespace

Probe::Probe(FrontEnd& one, FrontEnd& other, ProbeOptions options)
    : one_(one), other_(other), options_(std::move(options)) {
    for (auto* frame : {&options_.there, &options_.back}) {
        frame->resize(std::max(frame->size(), kNumberAt + sizeof number_));
        frame->at(kChecksumAt) = frame->at(kChecksumAt + 1) = 0;  // None, as IPv4 allows.
    }
    if (!options_.schedstat.empty()) {
        device_waits_.reset(::open(options_.schedstat.c_str(), O_RDONLY | O_CLOEXEC));
    }
    thread_ = std::thread([this] { run(); });
}

Probe::~Probe() {
    stop_ = true;
    thread_.join();
}

ProbeResult Probe::read() {
    const std::lock_guard lock(mutex_);
    return std::exchange(result_, ProbeResult{});
}

void Probe::run() {
    const std::string own =
        "/proc/self/task/" + std::to_string(::syscall(SYS_gettid)) + "/schedstat";
    own_waits_.reset(::open(own.c_str(), O_RDONLY | O_CLOEXEC));
    while (!stop_.load(std::memory_order_relaxed)) {
        exchange(one_, other_, options_.there);
        exchange(other_, one_, options_.back);
    }
}

void Probe::exchange(FrontEnd& from, FrontEnd& to, std::vector<std::uint8_t>& frame) {
    ++number_;
    std::memcpy(frame.data() + kNumberAt, &number_, sizeof number_);
    const std::uint64_t before = waited_ns();
    const auto began = Clock::now();
    TxQueue& tx = from.pair(0).tx;
    bool is_out = false;
    bool is_there = false;
    Clock::duration took{};
    while (!is_there && took < kLost && !stop_.load(std::memory_order_relaxed)) {
        tx.collect();
        if (!is_out && tx.enqueue({frame, {}, Layout::kSingle, 0})) {
            tx.publish();
            is_out = true;
        }
        is_there = arrived(to);
        took = Clock::now() - began;
    }
    if (!is_there && took < kLost) { return; }  // The end, in the middle of a frame.
    const std::uint64_t waits = took >= kLate ? waited_ns() - before : 0;
    note(ns(took), waits, !is_there);
    std::this_thread::sleep_for(options_.pause);
}

// Takes what is there; true if the frame that is awaited was among it.
bool Probe::arrived(FrontEnd& at) const {
    bool is_there = false;
    while (const auto frame = at.pair(0).rx.take()) {
        is_there = is_there ||
                   (frame->frame.size() >= kNumberAt + sizeof number_ &&
                    std::memcmp(frame->frame.data() + kNumberAt, &number_, sizeof number_) == 0);
    }
    return is_there;
}

std::uint64_t Probe::waited_ns() const { return waited(device_waits_) + waited(own_waits_); }

void Probe::note(std::uint64_t took_ns, std::uint64_t waited_ns, bool lost) {
    const std::lock_guard lock(mutex_);
    ++result_.frames;
    if (lost) {
        ++result_.lost;
    } else {
        result_.took_us.push_back(static_cast<std::uint32_t>(took_ns / 1000));
    }
    const std::uint64_t stalled = took_ns > waited_ns ? took_ns - waited_ns : 0;
    result_.stalled_us = std::max(result_.stalled_us, static_cast<std::uint32_t>(stalled / 1000));
}

}  // namespace sluice::frontend
