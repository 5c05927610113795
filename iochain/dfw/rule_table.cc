// SPDX-License-Identifier: Apache-2.0
// Matching on a RuleTable: three levels of 64, an AND of the lanes on each, so that only words that
// every lane may fill are read. Workers, for the first packet of a flow.
#include "iochain/dfw/rule_table.h"

#include <bit>
#include <span>

namespace sluice::iochain {
namespace {

constexpr std::uint32_t kNoRule = 0xffffffffU;

unsigned take_lowest(std::uint64_t& bits) noexcept {
    const auto position = static_cast<unsigned>(std::countr_zero(bits));
    bits &= bits - 1;
    return position;
}

}  // namespace

std::uint64_t RuleTable::Cursor::top() const noexcept {
    std::uint64_t bits = lane->flip.top();
    tree->for_each_atom(node, [&](std::uint32_t atom) { bits |= lane->rows.top(atom); });
    for (const std::uint32_t atom : held) { bits |= lane->rows.top(atom); }
    return bits;
}

std::uint64_t RuleTable::Cursor::summary(unsigned s) const noexcept {
    std::uint64_t bits = lane->flip.summary(s);
    tree->for_each_atom(node, [&](std::uint32_t atom) { bits |= lane->rows.summary(atom, s); });
    for (const std::uint32_t atom : held) { bits |= lane->rows.summary(atom, s); }
    return bits;
}

std::uint64_t RuleTable::Cursor::word(unsigned s, unsigned w) const noexcept {
    std::uint64_t bits = 0;
    tree->for_each_atom(node, [&](std::uint32_t atom) { bits |= lane->rows.word(atom, s, w); });
    for (const std::uint32_t atom : held) { bits |= lane->rows.word(atom, s, w); }
    return bits ^ lane->flip.word(s * 64U + w);
}

bool RuleTable::confirm(std::uint32_t rule, const FlowQuery& query) const noexcept {
    if (!inexact_.test(rule)) { return true; }
    const bool has_ports = model::has_ports(query.protocol);
    const std::uint32_t destination =
        service_point(query.protocol, has_ports ? query.destination_port : query.source_port);
    const std::uint32_t source = service_point(query.protocol, query.source_port);
    for (std::uint32_t i = exact_first_[rule]; i < exact_first_[rule + 1]; ++i) {
        if (exact_[i].destination.contains(destination) && exact_[i].source.contains(source)) {
            return true;
        }
    }
    return false;
}

std::uint32_t RuleTable::first_match(const DenseBits& applied,
                                     const FlowQuery& query) const noexcept {
    std::uint64_t top = applied.top();
    if (top == 0) { return kNoRule; }
    const bool has_ports = model::has_ports(query.protocol);
    const std::uint16_t low = has_ports ? query.destination_port : query.source_port;
    const auto at_destination = addresses_.find(query.destination, query.family);
    const auto at_source = addresses_.find(query.source, query.family);
    std::array<Cursor, 4> cursors = {{
        // The most selective first, as a rule.
        {&destination_, at_destination.tree, at_destination.node,
         addresses_.of_port(query.holders.destination)},
        {&source_, at_source.tree, at_source.node, addresses_.of_port(query.holders.source)},
        {&service_, &destination_ports_.tree(),
         destination_ports_.find(service_point(query.protocol, low))},
        {&source_port_, &source_ports_.tree(), kNoNode},
    }};
    if (reads_source_ports_) {
        cursors[3].node = source_ports_.find(service_point(query.protocol, query.source_port));
    }
    const std::span<const Cursor> lanes(cursors.data(), reads_source_ports_ ? 4U : 3U);

    for (const Cursor& cursor : lanes) { top &= cursor.top(); }
    while (top != 0) {
        const unsigned s = take_lowest(top);
        std::uint64_t summary = applied.summary(s);
        for (const Cursor& cursor : lanes) {
            if (summary == 0) { break; }
            summary &= cursor.summary(s);
        }
        while (summary != 0) {
            const unsigned w = take_lowest(summary);
            std::uint64_t word = applied.word(s * 64U + w);
            for (const Cursor& cursor : lanes) {
                if (word == 0) { break; }
                word &= cursor.word(s, w);
            }
            while (word != 0) {
                const std::uint32_t rule = (s * 64U + w) * 64U + take_lowest(word);
                if (confirm(rule, query)) { return rule; }
            }
        }
    }
    return kNoRule;
}

std::uint32_t RuleTable::judge(const DenseBits& applied, const FlowQuery& query) const noexcept {
    const std::uint32_t rule = first_match(applied, query);
    return rule == kNoRule ? size() : rule;
}

}  // namespace sluice::iochain
