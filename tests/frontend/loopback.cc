// SPDX-License-Identifier: Apache-2.0
// frontend-loopback SOCKET [server]: FakeBackEnd as a program, so that the Python wrapper can be
// tested without a switch. It ends with its input.
#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <string>

#include "fake_back_end.h"

int main(int argc, char** argv) {
    if (argc < 2) {
        std::cerr << "usage: frontend-loopback SOCKET [server]\n";
        return 2;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sluice::frontend::FakeBackEnd::Options options;
    options.socket = argv[1];
    options.connects = argc < 3 || std::string(argv[2]) != "server";
    options.records = false;
    const sluice::frontend::FakeBackEnd device(options);
    for (std::string line; std::getline(std::cin, line);) {}
    return 0;
}
