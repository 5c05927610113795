// SPDX-License-Identifier: Apache-2.0
// BPF filters: see capture_filter.h. Classic BPF jumps forwards only, so that a program of N
// instructions takes N steps at most.
#include "src/sluiced/capture_filter.h"

#include <pcap/bpf.h>

#include <optional>
#include <string>
#include <vector>

namespace sluice::daemon {
namespace {

using nlohmann::json;

class BpfFilter final : public datapath::CaptureFilter {
public:
    explicit BpfFilter(std::vector<bpf_insn> program) : program_(std::move(program)) {}
    [[nodiscard]] bool matches(std::span<const std::uint8_t> data,
                               std::uint32_t frame_size) const noexcept override {
        return bpf_filter(program_.data(), data.data(), frame_size,
                          static_cast<u_int>(data.size())) != 0;
    }

private:
    const std::vector<bpf_insn> program_;
};

std::optional<std::uint64_t> number(const json& value, std::uint64_t max) {
    if (!value.is_number_integer()) { return std::nullopt; }
    const bool is_negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    if (is_negative || value.get<std::uint64_t>() > max) { return std::nullopt; }
    return value.get<std::uint64_t>();
}

std::optional<bpf_insn> instruction(const json& value) {
    if (!value.is_array() || value.size() != 4) { return std::nullopt; }
    const auto code = number(value[0], UINT16_MAX);
    const auto jump_true = number(value[1], UINT8_MAX);
    const auto jump_false = number(value[2], UINT8_MAX);
    const auto k = number(value[3], UINT32_MAX);
    if (!code || !jump_true || !jump_false || !k) { return std::nullopt; }
    return bpf_insn{static_cast<u_short>(*code), static_cast<u_char>(*jump_true),
                    static_cast<u_char>(*jump_false), static_cast<bpf_u_int32>(*k)};
}

}  // namespace

Result<std::shared_ptr<const datapath::CaptureFilter>> make_capture_filter(const json& program) {
    if (program.is_null() || program == json::array()) { return {nullptr}; }
    const Error malformed{Errc::kInvalid,
                          "filter: not a BPF program: expected a list of [code, jt, jf, k]",
                          "filter"};
    if (!program.is_array()) { return malformed; }
    if (program.size() > kCaptureFilterMax) {
        return Error{Errc::kLimit,
                     "filter: " + std::to_string(program.size()) +
                         " BPF instructions are more than the limit of " +
                         std::to_string(kCaptureFilterMax) + ": say less",
                     "filter"};
    }
    std::vector<bpf_insn> instructions;
    for (const json& each : program) {
        const auto read = instruction(each);
        if (!read) { return malformed; }
        instructions.push_back(*read);
    }
    if (bpf_validate(instructions.data(), static_cast<int>(instructions.size())) == 0) {
        return Error{Errc::kInvalid, "filter: the BPF program is not valid", "filter"};
    }
    return {std::make_shared<const BpfFilter>(std::move(instructions))};
}

}  // namespace sluice::daemon
