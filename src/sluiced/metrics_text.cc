// SPDX-License-Identifier: Apache-2.0
// The text format: see metrics_text.h.
#include "src/sluiced/metrics_text.h"

#include <array>
#include <charconv>

#include "sluice/base/assert.h"

namespace sluice::daemon {
namespace {

constexpr std::array<MetricFamily, static_cast<std::size_t>(Metric::kCount)> kFamilies = {{
    {"sluice_build_info", "gauge", "version", "always 1; the version is a label"},
    {"sluice_start_time_seconds", "gauge", "", "when the daemon started, since the Unix epoch"},
    {"sluice_config_generation", "gauge", "", "generation of the running document"},
    {"sluice_source_state", "gauge", "kind, state",
     "always 1; of a source that is not the local store, as the next ones"},
    {"sluice_source_state_seconds", "gauge", "", "since when it is in that state"},
    {"sluice_source_generation", "gauge", "", "the fleet's generation that runs; 0: none yet"},
    {"sluice_source_problems", "gauge", "", "objects of it that could not be applied"},
    {"sluice_source_bindings", "gauge", "", "MACs of other hosts that it told"},
    {"sluice_source_lag_seconds", "gauge", "",
     "from a controller's commit to the data path, the last time"},
    {"sluice_source_alarms", "gauge", "", "alarms of the source, as `sluice status` lists them"},
    {"sluice_alarm", "gauge", "name", "how many alarms of that name are raised; 0: none"},
    {"sluice_port_up", "gauge", "port", "1 if the port is enabled and its peer is there, else 0"},
    {"sluice_port_info", "gauge", "port, port_group, mac, worker",
     "always 1; what the port is, for joins"},
    {"sluice_port_receive_packets_total", "counter", "port",
     "frames that entered by the port (from the VM)"},
    {"sluice_port_receive_bytes_total", "counter", "port",
     "bytes of frames that entered by the port (from the VM)"},
    {"sluice_port_transmit_packets_total", "counter", "port",
     "frames that left by the port (to the VM)"},
    {"sluice_port_transmit_bytes_total", "counter", "port",
     "bytes of frames that left by the port (to the VM)"},
    {"sluice_port_answered_requests_total", "counter", "port",
     "ARP and ND questions of the VM that the switch answered itself"},
    {"sluice_port_cycles_total", "counter", "port",
     "TSC cycles of a worker that the port's frames took, until their receivers had them"},
    {"sluice_port_held_rounds_total", "counter", "port",
     "rounds in which a worker passed the port over: others waited and had had less of it"},
    {"sluice_port_dropped_packets_total", "counter", "port, reason",
     "dropped frames that had entered by the port; from the first drop of a reason on"},
    {"sluice_uplink_up", "gauge", "uplink, device", "1 if the uplink has its link, else 0"},
    {"sluice_uplink_works", "gauge", "uplink, role",
     "1 if its team uses the uplink, else 0: by link, beacons, LACP and failback"},
    {"sluice_uplink_speed_bits_per_second", "gauge", "uplink", "speed of the link; 0 = not known"},
    {"sluice_uplink_device_dropped_packets_total", "counter", "uplink, kind",
     "frames that the device itself lost (rx_missed, rx_errors, tx_errors): never the switch's, "
     "not "
     "in its books"},
    {"sluice_vtep_up", "gauge", "vtep", "1 if the VTEP's uplink works, else 0"},
    {"sluice_vtep_peer_up", "gauge", "vtep, peer",
     "0 if BFD with the remote VTEP was up and is not, else 1: frames are sent to it"},
    {"sluice_vtep_peer_round_trip_seconds", "gauge", "vtep, peer",
     "moving average over echo probes; from the first answer on"},
    {"sluice_vtep_peer_loss_ratio", "gauge", "vtep, peer",
     "share of the last 60 echo probes without an answer"},
    {"sluice_service_up", "gauge", "instance", "1 if the service's heartbeats come back, else 0"},
    {"sluice_service_heartbeat_seconds", "gauge", "instance",
     "round trip of the last heartbeat; from the first that came back on"},
    {"sluice_service_connections_total", "counter", "instance",
     "connections that were given to the instance"},
    {"sluice_service_sent_packets_total", "counter", "instance", "frames handed to the instance"},
    {"sluice_service_sent_bytes_total", "counter", "instance",
     "bytes of frames handed to the instance"},
    {"sluice_service_returned_packets_total", "counter", "instance",
     "frames that came back from the instance and went on"},
    {"sluice_service_skipped_packets_total", "counter", "instance",
     "frames that went on without the instance, which does not work (`on_failure` open)"},
    {"sluice_service_dropped_packets_total", "counter", "instance",
     "frames dropped because the instance does not work (`on_failure` closed)"},
    {"sluice_sealed_packets_total", "counter", "policy",
     "packets that were sealed under the key policy for other hosts"},
    {"sluice_sealed_bytes_total", "counter", "policy", "bytes of them, before they were sealed"},
    {"sluice_opened_packets_total", "counter", "policy",
     "packets of other hosts that were opened under the key policy"},
    {"sluice_opened_bytes_total", "counter", "policy", "bytes of them, opened"},
    {"sluice_esp_replayed_packets_total", "counter", "policy",
     "sealed packets that came before, or are older than the replay window"},
    {"sluice_esp_bad_tag_packets_total", "counter", "policy",
     "sealed packets that were changed on their way, or sealed with another key"},
    {"sluice_key_held", "gauge", "policy",
     "1 while this host has the group key of the running epoch"},
    {"sluice_unsealed_local_packets_total", "counter", "",
     "packets that a rule would have had sealed, and that stayed on this host"},
    {"sluice_slot_packets_total", "counter", "port, slot, name, direction",
     "frames that a slot of the port's chain judged, let through or dropped"},
    {"sluice_slot_dropped_packets_total", "counter", "port, slot, name, direction",
     "frames that a slot of the port's chain dropped"},
    {"sluice_rule_hits_total", "counter", "section, rule",
     "connections that the rule decided (frames where it is stateless or drops); from the first "
     "on"},
    {"sluice_rule_packets_total", "counter", "section, rule",
     "frames that the rule decided; from the first on"},
    {"sluice_rule_bytes_total", "counter", "section, rule",
     "bytes of frames that the rule decided; from the first on"},
    {"sluice_worker_info", "gauge", "worker, core", "always 1; the core that the worker runs on"},
    {"sluice_worker_packets_total", "counter", "worker", "frames that the worker received"},
    {"sluice_worker_busy_cycles_total", "counter", "worker",
     "TSC cycles of polls that moved frames"},
    {"sluice_worker_idle_cycles_total", "counter", "worker", "TSC cycles of polls that moved none"},
    {"sluice_worker_sleep_seconds_total", "counter", "worker", "time asleep for want of work"},
    {"sluice_worker_flow_hits_total", "counter", "worker",
     "frames whose program was in the flow table"},
    {"sluice_worker_flow_misses_total", "counter", "worker",
     "frames that were decided anew (first packets, stale programs)"},
    {"sluice_worker_flow_evictions_total", "counter", "worker",
     "flows forgotten to make room for others of their port"},
    {"sluice_worker_flows", "gauge", "worker", "flows in the worker's table"},
    {"sluice_connections", "gauge", "", "tracked connections"},
    {"sluice_connections_limit", "gauge", "", "tracked connections that there is room for"},
    {"sluice_connections_early_drops_total", "counter", "",
     "half-open connections forgotten to make room for newer ones of their vNIC"},
    {"sluice_expectations", "gauge", "", "connections that FTP and TFTP announced, not yet open"},
    {"sluice_expectations_taken_total", "counter", "", "announced connections that were opened"},
    {"sluice_expectations_refused_total", "counter", "",
     "announcements of another's address, of a privileged port, or for which there was no room"},
    {"sluice_buffers", "gauge", "", "packet buffers"},
    {"sluice_buffers_in_use", "gauge", "", "packet buffers that hold frames"},
    {"sluice_books_received_packets_total", "counter", "", "frames that came in by any port"},
    {"sluice_books_created_packets_total", "counter", "",
     "frames made in the switch: copies, segments, answers"},
    {"sluice_books_sent_packets_total", "counter", "", "frames that left by any port"},
    {"sluice_books_consumed_packets_total", "counter", "",
     "frames that ended in the switch as they should, such as originals of copies"},
    {"sluice_books_dropped_packets_total", "counter", "", "frames that were dropped"},
    {"sluice_books_held_packets", "gauge", "",
     "frames on their way between workers, and those that wait: fragments, for a neighbour's MAC"},
    {"sluice_books_unaccounted_packets", "gauge", "",
     "received + created - sent - consumed - dropped - held; must be 0"},
}};

constexpr bool is_complete() {
    for (const MetricFamily& family : kFamilies) {
        if (family.name.empty() || family.help.empty()) { return false; }
    }
    return true;
}
static_assert(is_complete());

}  // namespace

std::span<const MetricFamily> metric_families() noexcept { return kFamilies; }

std::string metric_labels(MetricLabels labels) {
    std::string text;
    for (const auto& [name, value] : labels) {
        if (!text.empty()) { text += ','; }
        text += name;
        text += "=\"";
        for (const char each : value) {
            if (each == '\\' || each == '"') { text += '\\'; }
            if (each == '\n') {
                text += "\\n";
            } else {
                text += each;
            }
        }
        text += '"';
    }
    return text;
}

void MetricsText::begin(Metric metric) {
    const MetricFamily& family = kFamilies[static_cast<std::size_t>(metric)];
    name_ = family.name;
    text_.append("# HELP ").append(family.name).append(" ").append(family.help);
    text_.append("\n# TYPE ").append(family.name).append(" ").append(family.type).append("\n");
}

void MetricsText::line(std::string_view labels, std::string_view value) {
    SLUICE_ASSERT(!name_.empty());
    text_ += name_;
    if (!labels.empty()) { text_.append("{").append(labels).append("}"); }
    text_.append(" ").append(value).append("\n");
}

void MetricsText::sample(std::string_view labels, std::uint64_t value) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
    line(labels, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void MetricsText::sample(std::string_view labels, std::int64_t value) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
    line(labels, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void MetricsText::sample(std::string_view labels, double value) {
    std::array<char, 64> digits{};
    const auto end =
        std::to_chars(digits.begin(), digits.end(), value, std::chars_format::fixed, 9).ptr;
    line(labels, {digits.data(), static_cast<std::size_t>(end - digits.data())});
}

void MetricsText::single(Metric metric, std::uint64_t value) {
    begin(metric);
    sample("", value);
}

}  // namespace sluice::daemon
