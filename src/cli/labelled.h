// SPDX-License-Identifier: Apache-2.0
// One line of a list of names and values, as `status` prints them. One thread.
#pragma once

#include <string>

#include "format.h"
#include "table.h"

namespace sluice::cli {

/// "generation   7".
inline void print_labelled(const View& view, const char* name, const std::string& value) {
    std::string label(name);
    label.resize(13, ' ');
    view.out << paint(view, Color::kBold, label) << printable(value) << '\n';
}

}  // namespace sluice::cli
