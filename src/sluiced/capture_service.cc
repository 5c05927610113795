// SPDX-License-Identifier: Apache-2.0
// CaptureService: see capture_service.h.
#include "src/sluiced/capture_service.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>

#include "admin/params.h"
#include "sluice/base/base64.h"
#include "src/sluiced/capture_filter.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using AnswerLater = asio::awaitable<Result<json>>;

constexpr std::chrono::milliseconds kPumpPeriod{5};
constexpr std::chrono::milliseconds kNextWait{200};
constexpr std::uint64_t kNoSlotAsked = UINT64_MAX;
constexpr std::size_t kFrameOverhead = 128;  // Of a queued frame, about.

std::int64_t nanoseconds(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Error invalid(const std::string& what) { return Error{Errc::kInvalid, what, "capture"}; }

bool is_gone(const std::weak_ptr<const admin::Connection>& connection) {
    const auto open = connection.lock();
    return open == nullptr || open->is_gone();
}

const char* text_of(Direction direction) {
    return direction == Direction::kFromVm ? "from-vm" : "to-vm";
}

}  // namespace

CaptureService::CaptureService(asio::io_context& io, datapath::Dataplane& dataplane,
                               const ConfigService& config)
    : io_(io), dataplane_(dataplane), config_(config), timer_(io) {}

Result<datapath::Capture> CaptureService::read_request(const json& params,
                                                       std::string& port) const {
    admin::ParamReader read(params);
    port = read.required_text("port");
    const std::uint64_t slot = read.count("slot", kNoSlotAsked);
    const std::string direction = read.text("direction", "both");
    const std::uint64_t snap_size = read.count("snaplen", kCaptureSnapMax);
    const json* program = read.value("filter");
    if (const Status status = read.finish(); !status) { return status.error(); }
    datapath::Capture capture;
    capture.port = config_.registries().ports.find(port);
    if (capture.port == kNoPort || dataplane_.snapshot().port(capture.port) == nullptr) {
        return Error{Errc::kNotFound, "port " + port + " does not exist", "port " + port};
    }
    if (slot >= kSlotCount && slot != kNoSlotAsked) {
        return invalid("capture: slot " + std::to_string(slot) + " is outside 0..15");
    }
    if (direction != "both" && direction != "from-vm" && direction != "to-vm") {
        return invalid("capture: direction " + direction + " is not from-vm, to-vm or both");
    }
    if (snap_size == 0 || snap_size > kCaptureSnapMax) {
        return invalid("capture: snaplen " + std::to_string(snap_size) + " is outside 1.." +
                       std::to_string(kCaptureSnapMax));
    }
    auto filter = make_capture_filter(program != nullptr ? *program : json());
    if (!filter) { return filter.error(); }
    capture.slot = slot == kNoSlotAsked ? datapath::kNoSlot : static_cast<std::uint8_t>(slot);
    capture.from_vm = direction != "to-vm";
    capture.to_vm = direction != "from-vm";
    capture.snap_size = static_cast<std::uint32_t>(snap_size);
    capture.filter = std::move(filter).value();
    return capture;
}

AnswerLater CaptureService::start(json params, admin::Peer peer) {
    std::string port;
    Result<datapath::Capture> capture = read_request(params, port);
    if (!capture) { co_return capture.error(); }
    unsigned at = 0;
    while (at < kCaptureMax && (places_[at].client || places_[at].settling)) { ++at; }
    if (at == kCaptureMax) {
        co_return Error{Errc::kLimit,
                        "capture: " + std::to_string(kCaptureMax) +
                            " captures run already, which is the limit: end one first",
                        "capture"};
    }
    while (rings_.size() < dataplane_.worker_count()) {
        rings_.push_back(std::make_shared<datapath::CaptureRing>(kCaptureRingBytes));
    }
    auto client = std::make_shared<Client>(io_);
    client->id = ++last_id_;
    client->port = port;
    client->connection = peer.connection;
    client->missed_before = missed(at);
    places_[at].client = client;
    places_[at].capture = std::move(capture).value();
    const std::uint64_t token = publish();
    co_await wait_until([&] { return dataplane_.is_settled(token); });
    dataplane_.reclaim();
    if (!is_pumping_) { pump(); }
    co_return json{{"capture", client->id}, {"port", port}, {"limit_frames", kCaptureAnswerFrames}};
}

// A capture is its connection's: nobody else may read it.
Result<unsigned> CaptureService::find(std::uint64_t id, const admin::Peer& peer) const {
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        const auto& client = places_[i].client;
        if (client && client->id == id && client->connection.lock() == peer.connection.lock()) {
            return i;
        }
    }
    return Error{Errc::kNotFound, "capture: this connection has no capture " + std::to_string(id),
                 "capture"};
}

AnswerLater CaptureService::next(std::uint64_t id, admin::Peer peer) {
    Result<unsigned> place = find(id, peer);
    if (!place) { co_return place.error(); }
    const std::shared_ptr<Client> client = places_[place.value()].client;
    if (client->queue.empty() && client->ended.empty()) {
        boost::system::error_code ignored;
        client->arrival.expires_after(kNextWait);
        co_await client->arrival.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        place = find(id, peer);
        if (!place) { co_return place.error(); }
    }
    co_return answer(place.value());
}

json CaptureService::answer(unsigned place) {
    Client& client = *places_[place].client;
    json frames = json::array();
    std::size_t bytes = 0;
    while (!client.queue.empty() && frames.size() < kCaptureAnswerFrames &&
           bytes < kCaptureAnswerBytes) {
        const Frame& frame = client.queue.front();
        json row{{"time_ns", frame.time_ns},
                 {"direction", text_of(frame.direction)},
                 {"size", frame.size},
                 {"data", base64_encode(frame.bytes)}};
        if (frame.reason != DropReason::kNone) { row["dropped"] = to_string(frame.reason); }
        if (frame.slot != datapath::kNoSlot) {
            row["slot"] = frame.slot;
            row["slot_name"] = kSlots[frame.slot].name;
            row["slot_port"] = frame.drop_port;
        }
        frames.push_back(std::move(row));
        bytes += frame.bytes.size();
        client.queued_bytes -= frame.bytes.size() + kFrameOverhead;
        client.queue.pop_front();
        ++client.captured;
    }
    json result{{"frames", std::move(frames)}, {"missed", missed(place)}};
    if (client.queue.empty() && !client.ended.empty()) { result["ended"] = client.ended; }
    return result;
}

Result<json> CaptureService::stop(std::uint64_t id, const admin::Peer& peer) {
    const Result<unsigned> place = find(id, peer);
    if (!place) { return place.error(); }
    Client& client = *places_[place.value()].client;
    const json totals{{"captured", client.captured}, {"missed", missed(place.value())}};
    client.arrival.cancel();
    retire(places_[place.value()]);
    places_[place.value()].client.reset();
    return totals;
}

void CaptureService::stop() {
    is_pumping_ = true;  // No new timer.
    timer_.cancel();
}

std::uint64_t CaptureService::publish() {
    std::array<datapath::Capture, kCaptureMax> captures;
    bool any = false;
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        captures[i] = places_[i].capture;
        any = any || captures[i].port != kNoPort;
    }
    return dataplane_.publish_captures(
        any ? std::make_unique<const datapath::CaptureSet>(captures, rings_) : nullptr);
}

// Workers stop filling it; the place is free again when they have passed on and its rest is
// drained.
void CaptureService::retire(Place& place) {
    if (place.capture.port == kNoPort) { return; }
    place.capture = datapath::Capture{};
    place.settling = publish();
}

void CaptureService::pump() {
    is_pumping_ = true;
    clock_offset_ns_ = nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_MONOTONIC);
    std::array<bool, kCaptureMax> settled{};
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        settled[i] = places_[i].settling && dataplane_.is_settled(*places_[i].settling);
    }
    drain();
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        if (settled[i]) { places_[i].settling.reset(); }
    }
    check_clients();
    dataplane_.reclaim();
    const bool is_idle = std::all_of(places_.begin(), places_.end(), [](const Place& place) {
        return !place.client && !place.settling;
    });
    if (is_idle) {
        is_pumping_ = false;
        rings_.clear();
        return;
    }
    timer_.expires_after(kPumpPeriod);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) { pump(); }
    });
}

// What is in the rings now: bounded by their size.
void CaptureService::drain() {
    for (const auto& ring : rings_) {
        std::uint32_t bytes = 0;
        while (const datapath::CaptureRecord* record = ring->front()) {
            take(*record);
            bytes += record->record_size;
            ring->pop();
            if (bytes >= kCaptureRingBytes) { break; }
        }
    }
    for (const Place& place : places_) {
        if (place.client && !place.client->queue.empty()) { place.client->arrival.cancel(); }
    }
}

void CaptureService::take(const datapath::CaptureRecord& record) {
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        const Place& place = places_[i];
        if ((record.captures >> i & 1U) == 0 || place.capture.port == kNoPort) { continue; }
        const std::uint8_t slot = place.capture.slot;
        if (slot != datapath::kNoSlot && (record.judged >> slot & 1U) == 0) { continue; }
        Client& client = *place.client;
        const std::uint32_t size = std::min(record.captured_size, place.capture.snap_size);
        if (client.queued_bytes + size + kFrameOverhead > kCaptureQueueBytes) {
            ++client.missed;
            continue;
        }
        const datapath::PortConfig* dropper = dataplane_.snapshot().port(record.drop_port);
        client.queue.push_back(
            Frame{static_cast<std::int64_t>(record.time_ns) + clock_offset_ns_, record.frame_size,
                  record.direction, record.reason, record.drop_slot,
                  dropper != nullptr ? dropper->name : std::string(),
                  std::vector<std::uint8_t>(record.bytes(), record.bytes() + size)});
        client.queued_bytes += size + kFrameOverhead;
    }
}

void CaptureService::check_clients() {
    for (Place& place : places_) {
        if (!place.client) { continue; }
        if (is_gone(place.client->connection)) {
            place.client->arrival.cancel();
            retire(place);
            place.client.reset();
            continue;
        }
        if (place.capture.port == kNoPort) { continue; }
        const datapath::PortConfig* port = dataplane_.snapshot().port(place.capture.port);
        if (port == nullptr || port->name != place.client->port) {
            place.client->ended = "port " + place.client->port + " was removed";
            place.client->arrival.cancel();
            retire(place);
        }
    }
}

std::uint64_t CaptureService::missed(unsigned place) const {
    std::uint64_t in_rings = 0;
    for (const auto& ring : rings_) { in_rings += ring->missed(place); }
    const auto& client = places_[place].client;
    return client ? in_rings - client->missed_before + client->missed : in_rings;
}

void add_capture_methods(admin::AdminServer& server, CaptureService& captures) {
    server.add("capture.start", admin::Access::kChange,
               [&captures](const json& params, const admin::Peer& peer) -> AnswerLater {
                   return captures.start(params, peer);
               });
    server.add("capture.next", admin::Access::kRead,
               [&captures](const json& params, const admin::Peer& peer) -> AnswerLater {
                   admin::ParamReader read(params);
                   const std::uint64_t id = read.count("capture", 0);
                   if (const Status status = read.finish(); !status) { co_return status.error(); }
                   co_return co_await captures.next(id, peer);
               });
    server.add("capture.stop", admin::Access::kRead,
               [&captures](const json& params, const admin::Peer& peer) -> Result<json> {
                   admin::ParamReader read(params);
                   const std::uint64_t id = read.count("capture", 0);
                   if (const Status status = read.finish(); !status) { return status.error(); }
                   return captures.stop(id, peer);
               });
}

}  // namespace sluice::daemon
