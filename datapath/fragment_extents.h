// SPDX-License-Identifier: Apache-2.0
// FragmentExtents: which bytes of a datagram have come, of the fragmentable part (RFC 791 §3.2, RFC
// 8200 §4.5). Refuses what contradicts what came before. Part of FragmentTable's entries; the
// worker that owns it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "sluice/base/limits.h"

namespace sluice::datapath {

/// What a piece is to those that came before.
enum class FragmentFit : std::uint8_t {
    kNew,
    kDuplicate,      ///< Nothing of it is new: it was delivered twice (RFC 8200 §4.5).
    kContradiction,  ///< It overlaps, or disagrees on the end; or one gap too many.
};

/// Disjoint pieces in order, adjacent ones joined.
class FragmentExtents {
public:
    [[nodiscard]] bool is_complete() const noexcept {
        return total_ != 0 && count_ == 1 && pieces_[0].begin == 0 && pieces_[0].end == total_;
    }
    /// End of the last fragment in bytes; 0 = it has not come.
    [[nodiscard]] std::uint16_t total() const noexcept { return total_; }

    /// Adds what is new. begin < end <= 65535.
    [[nodiscard]] FragmentFit add(std::uint16_t begin, std::uint16_t end, bool last) noexcept {
        if (has_all_of(begin, end) && (!last || end == total_)) { return FragmentFit::kDuplicate; }
        if (total_ != 0 && (last || end > total_)) { return FragmentFit::kContradiction; }
        if (last && count_ > 0 && pieces_[count_ - 1U].end > end) {
            return FragmentFit::kContradiction;
        }
        std::uint8_t at = 0;
        while (at < count_ && pieces_[at].begin < begin) { ++at; }
        const bool overlaps =
            (at > 0 && pieces_[at - 1U].end > begin) || (at < count_ && pieces_[at].begin < end);
        if (overlaps || !insert(at, Piece{begin, end})) { return FragmentFit::kContradiction; }
        if (last) { total_ = end; }
        return FragmentFit::kNew;
    }

private:
    struct Piece {
        std::uint16_t begin, end;
    };

    [[nodiscard]] bool has_all_of(std::uint16_t begin, std::uint16_t end) const noexcept {
        return std::any_of(pieces_.begin(), pieces_.begin() + count_, [&](const Piece& piece) {
            return piece.begin <= begin && end <= piece.end;
        });
    }

    [[nodiscard]] bool insert(std::uint8_t at, Piece piece) noexcept {
        const bool joins_left = at > 0 && pieces_[at - 1U].end == piece.begin;
        const bool joins_right = at < count_ && pieces_[at].begin == piece.end;
        if (joins_left && joins_right) {
            pieces_[at - 1U].end = pieces_[at].end;
            std::copy(pieces_.begin() + at + 1, pieces_.begin() + count_, pieces_.begin() + at);
            --count_;
        } else if (joins_left) {
            pieces_[at - 1U].end = piece.end;
        } else if (joins_right) {
            pieces_[at].begin = piece.begin;
        } else {
            if (count_ == pieces_.size()) { return false; }
            std::copy_backward(pieces_.begin() + at, pieces_.begin() + count_,
                               pieces_.begin() + count_ + 1);
            pieces_[at] = piece;
            ++count_;
        }
        return true;
    }

    std::array<Piece, kFragmentGapMax> pieces_;
    std::uint8_t count_ = 0;
    std::uint16_t total_ = 0;
};

}  // namespace sluice::datapath
