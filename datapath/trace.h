// SPDX-License-Identifier: Apache-2.0
// Trace: what would become of a frame that nobody sent, and why, by the code that decides first
// packets (first_packet.cc), run dry: nothing is learned, opened, closed, cached, counted, logged
// or sent. Control fills a command with the frame's bytes, the worker that polls its ingress fills
// the steps, control puts names to their numbers. Frames that slot 1 inspects are refused: what
// they meet hangs on rates and contents.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "datapath/command.h"

namespace sluice::datapath {

/// What a step of a frame's way tells.
enum class TraceWhat : std::uint8_t {
    kDomain,       ///< It enters the layer-2 domain `argument` (an index), or none: `reason`.
    kConnection,   ///< It belongs to Trace::connection.
    kAgain,        ///< A rule no longer allows that connection: judged again without it.
    kRule,         ///< `rule` of slot 0 matches; the slot's own step follows.
    kSlot,         ///< `slot` of `port` lets it pass, or drops it: `reason`.
    kLearn,        ///< Its source MAC would be learned at `port`; `reason`: there is no room.
    kFound,        ///< Its destination is behind `port`.
    kUnknown,      ///< Nobody has its destination; `port` is the way out.
    kFlood,        ///< It goes to several ports, `argument` of them.
    kOpen,         ///< It would open a connection; `reason`: it can't.
    kRouted,       ///< By the domain's router; argument = index of the domain that it leaves in.
    kRouter,       ///< It is for the router itself.
    kWait,         ///< It would wait until its next hop is resolved.
    kDecapsulate,  ///< It came by a tunnel from Trace::tunnel's other end.
    kEncapsulate,  ///< It goes to Trace::tunnel by VTEP `port`.
    kRedirect,  ///< `slot` of `port` hands it to instance `argument` of service rule `detail`, and
                ///< it returns; 0: it goes on without, or `reason`.
    kSetDscp,   ///< It leaves with DSCP `argument`.
    kVlanPop,
    kVlanPush,  ///< With VID `argument`.
    kOutput,    ///< It leaves by `port`.
    kDrop,      ///< Dropped outside of any slot: `reason`.
};

struct TraceStep {
    TraceWhat what = TraceWhat::kDrop;
    Direction direction = Direction::kFromVm;  ///< Of kSlot, kRule.
    std::uint8_t slot = kNoSlot;
    DropReason reason = DropReason::kNone;  ///< Other than kNone: it ends here.
    PortIndex port = kNoPort;
    std::uint16_t argument = 0;
    std::uint16_t detail = 0;
    RuleId rule;               ///< Of kRule and of slot 2; 0 = none.
    bool is_stateful = false;  ///< Of slot 2: the rule wants a connection.
    bool is_static = false;    ///< Of kFound: by the document.
    bool is_told = false;      ///< Of kFound: by a controller.
    bool is_bound = false;     ///< Of slot 1: the source address is a learned binding.
    LearnedSource source = LearnedSource::kArp;  ///< Of that binding.
};

inline constexpr std::size_t kTraceStepMax = 128;
inline constexpr std::size_t kTraceCopyMax = 8;  ///< Receivers of a flooded frame that are traced.

/// A tunnel that a traced frame comes from or goes into.
struct TraceTunnel {
    std::uint16_t remote = 0;  ///< Index of the remote VTEP, or kEveryRemote; 0 = no tunnel.
    std::uint32_t vni = 0;
    std::uint8_t key_policy = 0;  ///< Under which it is sealed; 0: in the clear.
};

struct Trace {
    std::array<TraceStep, kTraceStepMax> steps;
    std::size_t count = 0;
    Connection connection;                  ///< Of kConnection.
    bool by_opener = true;                  ///< The frame goes the opener's way.
    bool is_inspected = false;              ///< Refused: see above.
    bool is_gone = false;                   ///< The port is not there any more.
    std::size_t reached = 0;                ///< Ports that would get it.
    DropReason reason = DropReason::kNone;  ///< Why it would be dropped.
    TraceTunnel tunnel;                     ///< That it leaves by.

    TraceStep& add(TraceWhat what) noexcept {
        TraceStep& step = steps[count < kTraceStepMax ? count++ : kTraceStepMax - 1];
        step = TraceStep{};
        step.what = what;
        return step;
    }
    /// The slots of one vNIC that judged it, in their order.
    void add_slots(PortIndex port, Direction direction, const Decision& decision,
                   std::span<const RuleId> acl) noexcept;
    /// How packet.aside->state.program ends. @param receiver  of a copy, its trail to be set
    void add_ending(const WorkerContext& context, const Packet& packet, const Domain& domain,
                    DecideInput receiver) noexcept;

private:
    void add_copies(const WorkerContext& context, const FlowKey& key, const Program& program,
                    const Domain& domain, DecideInput receiver) noexcept;
};

class TraceCommand final : public WorkerCommand {
public:
    /// @param frame  bytes of a whole frame; transport checksums may be wrong
    /// @param tunnel  of a frame that enters by a VTEP's port
    TraceCommand(PortIndex ingress, std::vector<std::uint8_t> frame, TraceTunnel tunnel = {})
        : ingress_(ingress), tunnel_(tunnel), frame_(std::move(frame)) {
        frame_.reserve(frame_.size() + kTagSize);
    }
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    /// As it would leave; meaningful if it is output to one port.
    [[nodiscard]] const std::vector<std::uint8_t>& frame() const noexcept { return frame_; }
    Trace trace;

private:
    static constexpr std::size_t kTagSize = 4;
    void run_steps(const WorkerContext& context, const Packet& packet) noexcept;

    PortIndex ingress_;
    TraceTunnel tunnel_;
    std::vector<std::uint8_t> frame_;
};

/// What ConnectionTable::open() would say to a connection that nobody wants to open now: its rule
/// for TCP, and the limits.
[[nodiscard]] DropReason reason_not_to_open(const WorkerContext& context,
                                            const OpenRequest& request,
                                            const ParsedFrame& frame) noexcept;

/// first_packet.cc: composes the program of `packet`, which has no mbuf, dry.
void trace_packet(WorkerContext& context, Packet& packet, Trace& trace) noexcept;

}  // namespace sluice::datapath
