// SPDX-License-Identifier: Apache-2.0
// KeyTable: which associations of slot 15 a host is to have at a time, as names (SPIs): what its
// VTEPs seal with, and what it opens of whom. Pure: time comes in, a plan goes out; whoever calls
// carries it out. Control thread.
//
// Theory of operation. Sending: a VTEP and policy have one association, of the running epoch and
// the host's generation. One name is never begun twice: where that would happen (a VTEP that moved,
// a key or an algorithm that changed within the epoch, a clock set back) nothing is sent until the
// host has its next generation. Receiving: who was heard under a generation is held for the last,
// the running and the next epoch of it, and for the running and next one of the generation behind
// it. A generation that nobody was heard under is offered: associations that go again unless
// something opens with them, so that forged SPIs neither fill the table nor push anybody out.
//
//   sender   | kWanted             | kUsed            | silent
//   unknown  | offered             |                  |
//   offered  |                     | heard            | unknown after kOfferS
//   heard    | (other generation:  | stays heard      | unknown after two epochs, kSilentS at
//            | offered)            |                  | least
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "sluice/iochain/spi.h"
#include "sluice/net/address.h"

namespace sluice::daemon {

/// A key policy as the table sees it.
struct TablePolicy {
    std::uint32_t rotate_s = 0;
    /// From which epoch on, and what tells key, algorithm and rotate_s from others; ascending.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> revisions;

    [[nodiscard]] std::uint64_t epoch_at(std::uint64_t now_s) const { return now_s / rotate_s; }
    /// 0: no key is in force.
    [[nodiscard]] std::uint64_t revision_at(std::uint64_t epoch) const;
};

struct TableConfig {
    struct Vtep {
        IpAddr ip;
        std::uint8_t worker = 0;  ///< Who seals.
    };
    std::map<std::uint8_t, TablePolicy> policies;
    std::vector<Vtep> vteps;      ///< By index into Snapshot::vteps.
    std::vector<IpAddr> remotes;  ///< By index into Snapshot::remotes; kNone: free.
};

/// What is to be done, in this order.
struct KeyPlan {
    struct Receiving {
        std::uint16_t remote = 0;
        std::uint32_t spi = 0;
        std::uint64_t epoch = 0;
    };
    struct Sending {
        std::uint16_t vtep = 0;
        std::uint32_t spi = 0;
        std::uint64_t epoch = 0;
    };
    std::vector<std::pair<std::uint16_t, std::uint32_t>> stop_receiving;  ///< Remote, SPI.
    std::vector<std::pair<std::uint16_t, std::uint8_t>> stop_sending;     ///< VTEP, policy.
    std::vector<Receiving> receive;
    std::vector<Sending> send;
    bool wants_generation = false;

    [[nodiscard]] bool is_empty() const {
        return stop_receiving.empty() && stop_sending.empty() && receive.empty() && send.empty();
    }
};

class KeyTable {
public:
    static constexpr std::uint64_t kOfferS = 10;
    static constexpr std::uint64_t kSilentS = 300;
    static constexpr std::size_t kOfferMax = 1024;

    void configure(TableConfig config);
    void set_generation(std::uint16_t generation);
    [[nodiscard]] std::optional<std::uint16_t> generation() const { return generation_; }

    /// What workers told.
    void note_wanted(std::uint16_t remote, std::uint32_t spi, std::uint64_t now_s);
    void note_used(std::uint16_t remote, std::uint32_t spi, std::uint64_t now_s);
    void note_filling(std::uint32_t spi);

    /// True if plan() may say something new.
    [[nodiscard]] bool is_due(std::uint64_t now_s) const;
    /// What leads from what the last plan led to to what is wanted now.
    [[nodiscard]] KeyPlan plan(std::uint64_t now_s);

private:
    // One sender's counter, as receivers know it.
    struct Sender {
        std::uint16_t remote = 0;
        std::uint8_t policy = 0;
        std::uint8_t worker = 0;
        auto operator<=>(const Sender&) const = default;
    };
    struct Heard {
        std::uint64_t epoch = 0;  // The last one that something came of.
        std::uint64_t at_s = 0;
    };
    struct Generations {
        std::map<std::uint16_t, Heard> heard;
        std::uint16_t newest = 0;
    };
    struct Offer {
        std::uint16_t remote = 0;
        std::uint32_t spi = 0;
        std::uint64_t at_s = 0;
    };
    struct Sealing {
        std::uint32_t spi = 0;
        std::uint64_t epoch = 0;
        std::uint64_t revision = 0;
        TableConfig::Vtep by;
    };
    // What was begun with a name, of a VTEP's address, a policy and a worker.
    struct Begun {
        std::uint16_t generation = 0;
        std::uint64_t epoch = 0;
    };
    struct Opening {
        std::uint64_t epoch = 0;
        std::uint64_t revision = 0;
        bool operator==(const Opening&) const = default;
    };
    using Openings = std::map<std::pair<std::uint16_t, std::uint32_t>, Opening>;

    [[nodiscard]] const TablePolicy* policy(std::uint8_t id) const;
    [[nodiscard]] std::optional<std::uint64_t> epoch_of(Spi spi, std::uint64_t now_s) const;
    [[nodiscard]] bool may_begin(const TableConfig::Vtep& by, std::uint8_t policy,
                                 std::uint64_t epoch) const;
    void plan_sending(std::uint64_t now_s, KeyPlan& plan);
    void plan_one(std::uint16_t vtep, std::uint8_t id, std::uint64_t now_s, KeyPlan& plan);
    void forget_silent(std::uint64_t now_s);
    void want(Openings& wanted, std::uint16_t remote, Spi spi, std::uint64_t epoch) const;
    [[nodiscard]] Openings wanted_openings(std::uint64_t now_s) const;
    void plan_receiving(std::uint64_t now_s, KeyPlan& plan);

    TableConfig config_;
    std::optional<std::uint16_t> generation_;
    bool is_dirty_ = false;
    bool is_filling_ = false;
    std::map<std::uint8_t, std::uint64_t> epochs_;                       // When plan() last looked.
    std::map<std::pair<std::uint16_t, std::uint8_t>, Sealing> sealing_;  // By VTEP, policy.
    std::map<std::tuple<IpAddr, std::uint8_t, std::uint8_t>, Begun> begun_;
    std::map<Sender, Generations> senders_;
    std::deque<Offer> offers_;
    Openings opening_;
};

}  // namespace sluice::daemon
