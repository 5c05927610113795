// SPDX-License-Identifier: Apache-2.0
// `show conns`: asks page by page and prints each as it comes, so that neither the daemon nor this
// program ever holds millions of rows. A page's answer says where the next one begins.
#include <algorithm>
#include <array>

#include "cli.h"
#include "command.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr Align kRight = Align::kRight;
constexpr std::uint64_t kTableRows = 1000;  // Without --limit. JSON is for programs: all of it.
constexpr std::uint64_t kPageRows = 10000;

std::string endpoint(const json& row, const char* address_key, const char* port_key) {
    std::string address = as_text(value_at(row, address_key));
    const auto port = number_of(value_at(row, port_key));
    if (port == 0) { return address; }
    const bool ipv6 = address.find(':') != std::string::npos;
    return (ipv6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}
std::string source_of(const json& row) { return endpoint(row, "src", "sport"); }
std::string destination_of(const json& row) { return endpoint(row, "dst", "dport"); }

constexpr std::array kFields{
    Field{"PORT", "port", as_text},
    Field{"PROTO", "proto", as_text},
    Field{"SOURCE", "", source_of},
    Field{"DESTINATION", "", destination_of},
    Field{"INITIATOR", "initiator", as_text},
    Field{"STATE", "state", as_text},
    Field{"RULE", "rule", as_text},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"BYTES", "bytes", as_bytes, kRight},
    Field{"EXPIRES", "expires_s", as_duration, kRight},
};

/// Prints rows as they come: one JSON list, or a table a page.
class Printer {
public:
    Printer(const Streams& streams, bool as_json)
        : streams_(streams), view_{streams.out, streams.color, "show.conns"}, as_json_(as_json) {}

    void print(const json& rows) {
        count_ += rows.size();
        if (as_json_) {
            for (const json& row : rows) {
                streams_.out << (is_first_ ? "[\n  " : ",\n  ")
                             << row.dump(-1, ' ', false, json::error_handler_t::replace);
                is_first_ = false;
            }
        } else if (!rows.empty()) {
            print_rows(rows, kFields, view_, "");
            is_first_ = false;
        }
    }
    void finish(bool stopped_early) {
        if (as_json_) {
            streams_.out << (is_first_ ? "[]\n" : "\n]\n");
        } else if (is_first_) {
            streams_.out << "no connections\n";
        } else if (stopped_early) {
            streams_.out << "stopped at " << format_count(count_)
                         << " connections, there may be more: see --filter and --limit\n";
        }
    }

private:
    const Streams& streams_;
    const View view_;
    const bool as_json_;
    bool is_first_ = true;
    std::uint64_t count_ = 0;
};

/// Leaves out the first `offset` rows and whatever is beyond `left`.
json trimmed(json rows, std::uint64_t& offset, std::uint64_t left) {
    if (!rows.is_array()) { return json::array(); }
    const auto skip = std::min<std::uint64_t>(offset, rows.size());
    offset -= skip;
    rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(skip));
    if (rows.size() > left) {
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(left), rows.end());
    }
    return rows;
}

Outcome<bool> show_conns(const Invocation& invocation, const Streams& streams) {
    json params = invocation.params;
    std::uint64_t limit = params.value("limit", invocation.json ? 0 : kTableRows);
    std::uint64_t offset = params.value("offset", std::uint64_t{0});
    params.erase("offset");
    if (limit == 0) { limit = ~std::uint64_t{0}; }
    Printer printer(streams, invocation.json);
    Dialogue daemon(invocation.endpoint);
    if (auto opened = daemon.open(); !opened.ok()) { return opened.failure(); }
    json cursor = 0;
    std::uint64_t printed = 0;
    while (!cursor.is_null() && printed < limit && streams.out.good()) {
        params["cursor"] = cursor;
        params["limit"] = std::min(kPageRows, std::max(limit - printed, limit - printed + offset));
        auto page = daemon.call(invocation.method, params.dump());
        if (!page.ok()) { return page.failure(); }
        const bool is_page = page.value().is_object();
        cursor = is_page ? value_at(page.value(), "cursor") : json();
        json rows = is_page ? value_at(page.value(), "connections") : std::move(page.value());
        rows = trimmed(std::move(rows), offset, limit - printed);
        printed += rows.size();
        printer.print(rows);
    }
    printer.finish(!cursor.is_null());
    return true;
}

}  // namespace

Command show_conns_command() {
    return {"show conns",
            "tracked connections",
            {{"PORT", "port", Kind::kText, false, "only of this port, seen from its side",
              Offer::kPorts},
             {"--filter", "filter", Kind::kText, false,
              "terms that must all hold: KEY=VALUE or KEY!=VALUE with proto, src, dst, sport, "
              "dport, state, initiator, rule, port",
              Offer::kNothing, "", "EXPR"},
             {"--limit", "limit", Kind::kCount, false,
              "at most so many; 0 = all (1000 if not given, all with -o json)"},
             {"--offset", "offset", Kind::kCount, false, "leave out the first so many"}},
            {"show conns", "show conns vm1 --limit 50",
             "show conns --filter 'proto=tcp dst=10.0.0.0/24 dport=80-88 state!=established'",
             "show conns --filter 'rule=app/web-in initiator=in' --limit 0"},
            nullptr,
            false,
            show_conns};
}

}  // namespace sluice::cli
