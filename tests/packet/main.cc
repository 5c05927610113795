// SPDX-License-Identifier: Apache-2.0
// Main of the packet tests: EAL once a process, then GoogleTest.
#include <gtest/gtest.h>

#include "tests/packet/eal.h"

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const sluice::test::Eal eal;
    return RUN_ALL_TESTS();
}
