// SPDX-License-Identifier: Apache-2.0
// The program sluice_manual: prints the source of sluice(1). Run once by the build; not installed.
#include <iostream>

#include "manual.h"

int main() {
    std::cout << sluice::cli::manual_page() << std::flush;
    return std::cout.good() ? 0 : 1;
}
