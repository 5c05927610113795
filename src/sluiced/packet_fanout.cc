// SPDX-License-Identifier: Apache-2.0
// Packet fanout: DPDK's af_packet driver makes the kernel put IPv4 fragments together before it
// hands them over (PACKET_FANOUT_FLAG_DEFRAG), and has no option against it. A switch forwards
// fragments as they came: put together they are longer than its buffers, and what a VTEP must
// refuse never reaches it. So the linker gives us the driver's call (--wrap=setsockopt in
// CMakeLists.txt), and the flag is taken out. Any thread.
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cstring>

extern "C" {

// The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
int __real_setsockopt(int socket, int level, int name, const void* value, socklen_t size);

int __wrap_setsockopt(int socket, int level, int name, const void* value, socklen_t size) {
    unsigned fanout = 0;
    if (level != SOL_PACKET || name != PACKET_FANOUT || size != sizeof fanout) {
        return __real_setsockopt(socket, level, name, value, size);
    }
    std::memcpy(&fanout, value, sizeof fanout);
    fanout &= ~(unsigned{PACKET_FANOUT_FLAG_DEFRAG} << 16U);
    return __real_setsockopt(socket, level, name, &fanout, sizeof fanout);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

}  // extern "C"
