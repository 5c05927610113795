// SPDX-License-Identifier: Apache-2.0
// BPF filters: see capture_filter.h. libpcap's bpf_validate() alone won't do: it lets an
// unconditional jump wrap round to an earlier instruction, which would never end, and codes pass at
// which bpf_filter() aborts. With jumps that go forwards only, N instructions take N steps at most.
#include "src/sluiced/capture_filter.h"

#include <pcap/bpf.h>

#include <algorithm>
#include <iterator>
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

constexpr u_short kJump = BPF_JMP | BPF_JA;

// Exactly what bpf_filter() knows.
constexpr u_short kCodes[] = {BPF_RET | BPF_K,
                              BPF_RET | BPF_A,
                              BPF_LD | BPF_W | BPF_ABS,
                              BPF_LD | BPF_H | BPF_ABS,
                              BPF_LD | BPF_B | BPF_ABS,
                              BPF_LD | BPF_W | BPF_LEN,
                              BPF_LDX | BPF_W | BPF_LEN,
                              BPF_LD | BPF_W | BPF_IND,
                              BPF_LD | BPF_H | BPF_IND,
                              BPF_LD | BPF_B | BPF_IND,
                              BPF_LDX | BPF_MSH | BPF_B,
                              BPF_LD | BPF_IMM,
                              BPF_LDX | BPF_IMM,
                              BPF_LD | BPF_MEM,
                              BPF_LDX | BPF_MEM,
                              BPF_ST,
                              BPF_STX,
                              kJump,
                              BPF_JMP | BPF_JGT | BPF_K,
                              BPF_JMP | BPF_JGE | BPF_K,
                              BPF_JMP | BPF_JEQ | BPF_K,
                              BPF_JMP | BPF_JSET | BPF_K,
                              BPF_JMP | BPF_JGT | BPF_X,
                              BPF_JMP | BPF_JGE | BPF_X,
                              BPF_JMP | BPF_JEQ | BPF_X,
                              BPF_JMP | BPF_JSET | BPF_X,
                              BPF_ALU | BPF_ADD | BPF_X,
                              BPF_ALU | BPF_SUB | BPF_X,
                              BPF_ALU | BPF_MUL | BPF_X,
                              BPF_ALU | BPF_DIV | BPF_X,
                              BPF_ALU | BPF_MOD | BPF_X,
                              BPF_ALU | BPF_AND | BPF_X,
                              BPF_ALU | BPF_OR | BPF_X,
                              BPF_ALU | BPF_XOR | BPF_X,
                              BPF_ALU | BPF_LSH | BPF_X,
                              BPF_ALU | BPF_RSH | BPF_X,
                              BPF_ALU | BPF_ADD | BPF_K,
                              BPF_ALU | BPF_SUB | BPF_K,
                              BPF_ALU | BPF_MUL | BPF_K,
                              BPF_ALU | BPF_DIV | BPF_K,
                              BPF_ALU | BPF_MOD | BPF_K,
                              BPF_ALU | BPF_AND | BPF_K,
                              BPF_ALU | BPF_OR | BPF_K,
                              BPF_ALU | BPF_XOR | BPF_K,
                              BPF_ALU | BPF_LSH | BPF_K,
                              BPF_ALU | BPF_RSH | BPF_K,
                              BPF_ALU | BPF_NEG,
                              BPF_MISC | BPF_TAX,
                              BPF_MISC | BPF_TXA};

bool is_sound(const std::vector<bpf_insn>& program) {
    for (std::size_t i = 0; i < program.size(); ++i) {
        const bpf_insn& each = program[i];
        if (std::find(std::begin(kCodes), std::end(kCodes), each.code) == std::end(kCodes)) {
            return false;
        }
        if (each.code == kJump && each.k >= program.size() - i - 1) { return false; }
    }
    return bpf_validate(program.data(), static_cast<int>(program.size())) != 0;
}

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
    if (!is_sound(instructions)) {
        return Error{Errc::kInvalid, "filter: the BPF program is not valid", "filter"};
    }
    return {std::make_shared<const BpfFilter>(std::move(instructions))};
}

}  // namespace sluice::daemon
