// SPDX-License-Identifier: Apache-2.0
// See bpf.h. libpcap compiles on a handle that captures nothing.
#include "bpf.h"

#include <pcap/pcap.h>

#include <memory>

namespace sluice::cli {
namespace {

constexpr int kSnapSize = 262144;

struct Close {
    void operator()(pcap_t* handle) const noexcept { pcap_close(handle); }
};

nlohmann::json program_json(const bpf_program& program) {
    auto list = nlohmann::json::array();
    for (unsigned i = 0; i < program.bf_len; ++i) {
        const bpf_insn& each = program.bf_insns[i];
        list.push_back({each.code, each.jt, each.jf, each.k});
    }
    return list;
}

}  // namespace

Outcome<nlohmann::json> compile_filter(const std::string& text) {
    if (text.empty()) { return nlohmann::json::array(); }
    const std::unique_ptr<pcap_t, Close> handle(pcap_open_dead(DLT_EN10MB, kSnapSize));
    bpf_program program{};
    if (handle == nullptr ||
        pcap_compile(handle.get(), &program, text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
        return Failure{"invalid",
                       "filter: " + text + ": " +
                           (handle == nullptr ? "no memory" : pcap_geterr(handle.get())),
                       "filter"};
    }
    auto list = program_json(program);
    pcap_freecode(&program);
    return list;
}

}  // namespace sluice::cli
