// SPDX-License-Identifier: Apache-2.0
// The Prometheus text format (version 0.0.4): families with HELP and TYPE, samples with labels.
// What families there are is one table, from which the manual's list is checked. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::daemon {

/// One metric family.
struct MetricFamily {
    std::string_view name;
    std::string_view type;    ///< "counter" or "gauge".
    std::string_view labels;  ///< Names, for the manual: "port, reason".
    std::string_view help;
};

// In the order in which they are served.
enum class Metric : std::uint8_t {
    kBuildInfo,
    kStartTime,
    kConfigGeneration,
    kSourceState,
    kSourceStateSeconds,
    kSourceGeneration,
    kSourceProblems,
    kSourceBindings,
    kSourceLag,
    kSourceAlarms,
    kAlarm,
    kPortUp,
    kPortInfo,
    kPortReceivePackets,
    kPortReceiveBytes,
    kPortTransmitPackets,
    kPortTransmitBytes,
    kPortAnswered,
    kPortCycles,
    kPortHeldRounds,
    kPortDroppedPackets,
    kUplinkUp,
    kUplinkWorks,
    kUplinkSpeed,
    kUplinkDeviceDrops,
    kVtepUp,
    kVtepPeerUp,
    kVtepPeerRoundTrip,
    kVtepPeerLoss,
    kServiceUp,
    kServiceHeartbeat,
    kServiceConnections,
    kServiceSentPackets,
    kServiceSentBytes,
    kServiceReturnedPackets,
    kServiceSkippedPackets,
    kServiceDroppedPackets,
    kSealedPackets,
    kSealedBytes,
    kOpenedPackets,
    kOpenedBytes,
    kEspReplayed,
    kEspBadTags,
    kKeyHeld,
    kUnsealedLocal,
    kSlotPackets,
    kSlotDroppedPackets,
    kRuleHits,
    kRulePackets,
    kRuleBytes,
    kWorkerInfo,
    kWorkerPackets,
    kWorkerBusyCycles,
    kWorkerIdleCycles,
    kWorkerSleep,
    kWorkerFlowHits,
    kWorkerFlowMisses,
    kWorkerFlowEvictions,
    kWorkerFlows,
    kConnections,
    kConnectionsLimit,
    kConnectionsEarlyDrops,
    kExpectations,
    kExpectationsTaken,
    kExpectationsRefused,
    kBuffers,
    kBuffersInUse,
    kBooksReceived,
    kBooksCreated,
    kBooksSent,
    kBooksConsumed,
    kBooksDropped,
    kBooksHeld,
    kBooksUnaccounted,
    kCount
};

/// By Metric.
[[nodiscard]] std::span<const MetricFamily> metric_families() noexcept;

using MetricLabels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Labels as they stand between braces: `port="vm1",reason="dfw_deny"`. Backslash, quote and line
/// break in values are escaped.
[[nodiscard]] std::string metric_labels(MetricLabels labels);

/// Puts a whole answer together. Families in the order of Metric; each once.
class MetricsText {
public:
    /// HELP and TYPE; the samples follow.
    void begin(Metric metric);
    /// A sample of the family that was begun. `labels` come from metric_labels(); may be empty.
    void sample(std::string_view labels, std::uint64_t value);
    void sample(std::string_view labels, std::int64_t value);
    void sample(std::string_view labels, double value);
    /// A family with one sample.
    void single(Metric metric, std::uint64_t value);

    [[nodiscard]] std::string take() noexcept { return std::move(text_); }

private:
    void line(std::string_view labels, std::string_view value);
    std::string_view name_;
    std::string text_;
};

}  // namespace sluice::daemon
