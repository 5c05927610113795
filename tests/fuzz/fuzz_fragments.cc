// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the fragment stage: an input is a sequence of fragments of a few datagrams, from
// two vNICs, in any order, with time passing, refusals and flushes between. Every frame that the
// table takes comes back exactly once, in order where that is promised, and nothing stays behind.
#include "datapath/fragment.h"

#include <map>
#include <set>

#include "datapath/parse.h"
#include "tests/fuzz/fuzzed.h"

namespace sluice::fuzz {
namespace {

using namespace datapath;

class Sequence {
public:
    Sequence(const std::uint8_t* data, std::size_t size) : input_(data, size) {}

    void run() {
        for (int i = 0; i < 256 && !input_.is_empty(); ++i) { step(); }
        table_.flush();
        require(held_.empty() && table_.held_count() == 0, "a flush leaves nothing");
        require(table_.size() == 0, "a flush forgets all");
    }

private:
    static void dropped(void* self, rte_mbuf& frame, DropReason reason) {
        require(reason != DropReason::kNone, "what is dropped has a reason");
        static_cast<Sequence*>(self)->give_back(frame);
    }

    void give_back(const rte_mbuf& frame) {
        require(held_.erase(&frame) == 1, "the table gives back what it holds, once");
    }

    void step() {
        const std::uint8_t what = input_.byte();
        switch (what % 16U) {
            case 0: now_ns_ += input_.byte() * 1'000'000'000ULL; break;
            case 1: table_.sweep(now_ns_); break;
            case 2: table_.flush(PortIndex{static_cast<std::uint16_t>(what >> 4U & 1U)}); break;
            case 3: (what & 16U) != 0 ? table_.end(last_) : table_.refuse(last_); break;
            case 4: offer(raw(), what); break;
            default: offer(piece(what), what); break;
        }
        require(table_.held_count() == held_.size(), "the table counts what it holds");
    }

    Bytes raw() { return input_.bytes(input_.word() % 1600U); }

    /// A piece of one of eight datagrams, each of which has its own contents.
    Bytes piece(std::uint8_t what) {
        const std::uint8_t id = input_.byte() % 4U;
        const std::uint8_t where = input_.byte();
        const std::size_t begin = (where & 0x1fU) * 8U;
        std::size_t size = (input_.byte() % 16U + 1U) * 8U;
        const bool more = (where & 0x20U) != 0;
        if (!more) { size -= where >> 6U; }
        static constexpr std::uint8_t kProtocols[] = {17, 6, 1, 17};
        const bool v6 = (what & 16U) != 0;
        const std::uint8_t protocol = v6 && id == 2 ? 58 : kProtocols[id];
        Bytes payload = contents(id, v6);
        payload.resize(begin + size);
        payload.erase(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(begin));
        if ((what & 64U) != 0) {
            const Bytes changed = input_.bytes(8);
            std::copy_n(changed.begin(), std::min(changed.size(), payload.size()), payload.begin());
        }
        const std::size_t field = begin | (more ? 1U : 0U);
        if (!v6) {
            return ipv4(protocol, payload, id, static_cast<std::uint16_t>(begin / 8 | more << 13U));
        }
        Bytes header = {protocol, 0, 0, 0, 0, 0, 0, id};
        put16(header, 2, field);
        header.insert(header.end(), payload.begin(), payload.end());
        return ipv6(44, header);
    }

    /// Headers that let a head pass parse: DHCP, TCP, an ICMP error, plain UDP.
    static Bytes contents(std::uint8_t id, bool v6) {
        Bytes out(400, id);
        if (id == 0 || id == 3) {
            put16(out, 0, id == 3 ? 5000 : v6 ? 546 : 68);
            put16(out, 2, id == 3 ? 53 : v6 ? 547 : 67);
            put16(out, 4, 64);
            put16(out, 6, 0);
        } else if (id == 1) {
            out[12] = 0x50;
            out[13] = 0x10;
        } else {
            out[0] = v6 ? 1 : 3;
        }
        return out;
    }

    void offer(const Bytes& bytes, std::uint8_t what) {
        frames_.push_back(std::make_unique<Frame>(bytes, (what & 128U) != 0 ? 100U : SIZE_MAX));
        rte_mbuf& mbuf = frames_.back()->mbuf();
        const PortIndex port{static_cast<std::uint16_t>(what >> 5U & 1U)};
        ParsedFrame parsed;
        parse_mbuf(mbuf, port, parsed);
        if (!parsed.fragment) { return; }
        if (parsed.frame_class == FrameClass::kBad) {
            return table_.condemn(parsed, DropReason::kBadFragment, now_ns_);
        }
        held_.insert(&mbuf);
        const FragmentResult result = table_.offer(mbuf, parsed, now_ns_);
        last_ = result.datagram;
        switch (result.fate) {
            case FragmentFate::kHeld: return;
            case FragmentFate::kDropped: return give_back(mbuf);
            case FragmentFate::kGoesOn: give_back(mbuf); return follow(parsed, result);
            case FragmentFate::kGathered: return gather(port, result.datagram);
        }
    }

    void follow(const ParsedFrame& passed, const FragmentResult& result) {
        ParsedFrame whole;
        require(!result.complete || table_.whole(result.datagram, whole),
                "a complete datagram is whole");
        std::uint32_t last_offset = 0;
        while (rte_mbuf* next = table_.next_held(result.datagram)) {
            give_back(*next);
            ParsedFrame parsed;
            parse_mbuf(*next, passed.key.port, parsed);
            require(parsed.fragment_offset > last_offset, "what waits follows in order");
            last_offset = parsed.fragment_offset;
            table_.complete(result.datagram, parsed);
            require(parsed.key.source_port.raw == passed.key.source_port.raw, "with its ports");
        }
    }

    void gather(PortIndex port, FragmentHandle datagram) {
        ParsedFrame whole;
        const DropReason reason = table_.gather(datagram, port, whole);
        if (reason == DropReason::kNone) {
            require(!whole.fragment && whole.frame_class == FrameClass::kInspect,
                    "what was gathered is a conversation");
            require(whole.l4_offset + whole.l4_size <= whole.data_size, "and all of it is here");
        }
        std::size_t count = 0;
        while (rte_mbuf* next = table_.next_held(datagram)) {
            give_back(*next);
            ++count;
        }
        require(count > 1, "it came in pieces");
    }

    Input input_;
    std::uint64_t now_ns_ = 1;
    std::vector<std::unique_ptr<Frame>> frames_;
    std::set<const rte_mbuf*> held_;
    FragmentTable table_{
        {.capacity = 12,
         .per_port = 8,
         .held = {.buffers = 20, .buffers_per_port = 14, .bytes = 4000, .bytes_per_port = 3000}},
        1,
        &Sequence::dropped,
        this};
    FragmentHandle last_;
};

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) { return 0; }
    sluice::fuzz::Sequence(data, size).run();
    return 0;
}
