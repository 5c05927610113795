// SPDX-License-Identifier: Apache-2.0
// Edit distance with transposition (optimal string alignment).
#include "suggest.h"

#include <algorithm>

namespace sluice::cli {
namespace {

std::size_t slips(const std::string& a, const std::string& b) {
    std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) { d[i][0] = i; }
    for (std::size_t j = 0; j <= b.size(); ++j) { d[0][j] = j; }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t swap = a[i - 1] == b[j - 1] ? 0 : 1;
            d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + swap});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(const std::string& typed, const std::vector<std::string>& words) {
    std::string best;
    std::size_t best_slips = 3;
    if (typed.empty() || typed.size() > 64) { return best; }
    for (const auto& word : words) {
        const bool begun = typed.size() >= 3 && word.rfind(typed, 0) == 0;
        const std::size_t count = begun ? 1 : slips(typed, word);
        if (count < best_slips && (begun || count * 3 <= std::max<std::size_t>(word.size(), 3))) {
            best = word;
            best_slips = count;
        }
    }
    return best;
}

std::string did_you_mean(const std::string& typed, const std::vector<std::string>& words) {
    const std::string word = nearest(typed, words);
    return word.empty() ? "" : ": did you mean " + word + "?";
}

}  // namespace sluice::cli
