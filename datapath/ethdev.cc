// SPDX-License-Identifier: Apache-2.0
// Ethdev: see ethdev.h. The kernel's side of af_packet and af_xdp devices (up, MTU) is set through
// its interface: those drivers' own words on MTU and link mean nothing.
#include "datapath/ethdev.h"

#include <bpf/libbpf.h>
#include <net/if.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>

#include "sluice/base/limits.h"
#include "sluice/model/uplink.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t kDescriptors = 1024;
constexpr unsigned kJumboPoolBuffers = 1023;
constexpr unsigned kJumboRoomMax = 32768;
constexpr unsigned kOwnPoolBuffers = 8191;      // af_xdp keeps 4096 of them in its rings.
constexpr std::uint16_t kAfPacketFrame = 2048;  // The driver's default for framesz=.
constexpr std::uint16_t kAfPacketHeader = 66;   // tpacket2_hdr and sockaddr_ll, aligned.
constexpr std::uint16_t kEthernetBytes = 18;    // Header and one tag.
constexpr std::uint16_t kNoPortId = 0xffff;
constexpr unsigned kDiscardMax = 8192;  // No receive ring has more.

bool is_pci(const std::string& name) {
    return name.find(':') != std::string::npos;  // 0000:01:00.0
}

/// Name of the kernel's driver that a PCI device is bound to; nullopt if there is no such device.
std::optional<std::string> kernel_driver_of(const std::string& address) {
    const std::filesystem::path device = "/sys/bus/pci/devices/" + address;
    std::error_code error;
    if (!std::filesystem::exists(device, error)) { return std::nullopt; }
    return std::filesystem::read_symlink(device / "driver", error).filename().string();
}

bool begins_with_driver(const std::string& name) {
    const std::string drivers = built_in_drivers();
    for (std::size_t at = 0; at < drivers.size();) {
        const std::size_t end = std::min(drivers.find(", ", at), drivers.size());
        if (name.starts_with(drivers.substr(at, end - at))) { return true; }
        at = end + 2;
    }
    return false;
}

/// Value of `KEY=` in a device string; empty if there is none.
std::string value_of(const std::string& device, const std::string& key) {
    const std::size_t at = device.find("," + key + "=");
    if (at == std::string::npos) { return ""; }
    const std::size_t from = at + key.size() + 2;
    return device.substr(from, device.find(',', from) - from);
}
/// The same as a number; `standard` if there is none.
unsigned number_of(const std::string& device, const std::string& key, unsigned standard) {
    const std::string value = value_of(device, key);
    std::from_chars(value.data(), value.data() + value.size(), standard);
    return standard;
}

/// The errno in what a driver returned; -1 is no EPERM, but all that many of them say.
int code_of(int error) { return error == -1 ? 0 : -error; }

/// What is wrong with the socket of net_vhost, of which the driver itself says nothing; or empty.
std::string socket_fault(const std::string& device) {
    const std::string path = value_of(device, "iface");
    if (path.empty() || path.front() != '/') {
        return "iface=, the path of its socket, is missing";
    }
    const std::string folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    return std::filesystem::is_directory(folder, error) ? ""
                                                        : "folder " + folder + " does not exist";
}

/// One request on an interface by name. 0 or an errno.
int ask_interface(const std::string& name, unsigned long request, ifreq& value) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) { return errno; }
    std::memset(value.ifr_name, 0, sizeof value.ifr_name);
    std::memcpy(value.ifr_name, name.data(), std::min(name.size(), sizeof value.ifr_name - 1));
    const int error = ioctl(socket, request, &value) == 0 ? 0 : errno;
    close(socket);
    return error;
}

}  // namespace

std::string built_in_drivers() {
    std::string text;
    for (const char* name : {SLUICE_UPLINK_DRIVERS}) {
        text += (text.empty() ? "" : ", ") + std::string(name);
    }
    return text;
}

Ethdev::Ethdev(std::string device)
    : device_(std::move(device)), interface_(model::device_interface(device_)) {
    static std::atomic<unsigned> made{0};
    plugged_name_ = model::device_name(device_);
    // A changed device is plugged in before the one of the same name is unplugged.
    if (std::count(plugged_name_.begin(), plugged_name_.end(), ':') == 1) {
        plugged_name_.insert(0, "0000:");
    }
    if (!is_pci(plugged_name_)) { plugged_name_ += "_" + std::to_string(made.fetch_add(1)); }
}

Error Ethdev::failure(const std::string& what, int error) const {
    std::string text = "device " + device_ + ": " + what;
    if (error == EPERM || error == EACCES) {
        text += ": no permission";
    } else if (error != 0) {
        text += std::string(": ") + std::strerror(error);
    }
    return Error{Errc::kIo, text, ""};
}

Result<std::unique_ptr<Ethdev>> Ethdev::open(const std::string& device, std::uint16_t mtu,
                                             rte_mempool* pool) {
    std::unique_ptr<Ethdev> ethdev(new Ethdev(device));
    if (Status done = ethdev->plug(pool); !done) { return done.error(); }
    if (Status done = ethdev->set_mtu(mtu); !done) { return done.error(); }
    return ethdev;
}

// af_xdp takes the pool's memory for its own, as one piece. af_packet wants buffers that hold its
// largest frame.
rte_mempool* Ethdev::pool_for(rte_mempool* shared) {
    unsigned count = kOwnPoolBuffers;
    unsigned room = RTE_MBUF_DEFAULT_DATAROOM;
    if (plugged_name_.starts_with("net_af_xdp")) {
        libbpf_set_print(nullptr);  // Errors come back as errors; stderr is the log's.
        libxdp_set_print(nullptr);
    } else {
        const bool is_af_packet = plugged_name_.starts_with("net_af_packet");
        const unsigned frame = is_af_packet ? number_of(device_, "framesz", kAfPacketFrame) : 0;
        if (frame <= kAfPacketFrame) { return shared; }
        count = kJumboPoolBuffers;
        room = std::min(frame, kJumboRoomMax);
    }
    own_pool_ = rte_pktmbuf_pool_create(plugged_name_.c_str(), count, 0, 0,
                                        static_cast<std::uint16_t>(room + RTE_PKTMBUF_HEADROOM),
                                        SOCKET_ID_ANY);
    return own_pool_;
}

Status Ethdev::prepare_interface() {
    if (interface_.empty()) { return Ok{}; }
    interface_index_ = if_nametoindex(interface_.c_str());
    if (interface_index_ == 0) {
        return Error{Errc::kNotFound,
                     "device " + device_ + ": interface \"" + interface_ + "\" does not exist", ""};
    }
    ifreq flags{};
    int error = ask_interface(interface_, SIOCGIFFLAGS, flags);
    if (error == 0 && (flags.ifr_flags & IFF_UP) == 0) {
        flags.ifr_flags = static_cast<short>(flags.ifr_flags | IFF_UP);
        error = ask_interface(interface_, SIOCSIFFLAGS, flags);
    }
    if (error != 0) { return failure("interface can't be set up", error); }
    return Ok{};
}

Status Ethdev::check_driver() const {
    if (!is_pci(plugged_name_)) {
        if (plugged_name_.starts_with("net_vhost")) {
            const std::string fault = socket_fault(device_);
            return fault.empty() ? Status(Ok{}) : failure(fault, 0);
        }
        if (begins_with_driver(plugged_name_)) { return Ok{}; }
        return Error{Errc::kNotFound,
                     "device " + device_ + ": no driver of that name is built in, there are " +
                         built_in_drivers() + ", and for PCI addresses " SLUICE_PCI_DRIVERS,
                     ""};
    }
    const std::optional<std::string> driver = kernel_driver_of(plugged_name_);
    if (!driver) {
        return Error{Errc::kNotFound, "device " + device_ + ": no such PCI device", ""};
    }
    if (*driver != "vfio-pci" && *driver != "uio_pci_generic" && *driver != "igb_uio") {
        const std::string bound = driver->empty() ? "no driver" : "the kernel's driver " + *driver;
        return failure("is bound to " + bound + ", expected vfio-pci", 0);
    }
    if (rte_eal_has_hugepages() == 0) { return failure("PCI devices need hugepages", 0); }
    return Ok{};
}

Status Ethdev::plug(rte_mempool* shared) {
    if (Status done = check_driver(); !done) { return done; }
    if (Status done = prepare_interface(); !done) { return done; }
    rte_mempool* pool = pool_for(shared);
    if (pool == nullptr) { return failure("no memory for its buffers", rte_errno); }
    const std::string arguments =
        plugged_name_ + device_.substr(model::device_name(device_).size());
    if (const int error = rte_dev_probe(arguments.c_str()); error != 0) {
        return failure("can't be opened", code_of(error));
    }
    if (rte_eth_dev_get_port_by_name(plugged_name_.c_str(), &port_id_) != 0) {
        port_id_ = kNoPortId;
        return failure("is no network device", 0);
    }
    return set_up(pool);
}

Status Ethdev::set_up(rte_mempool* pool) {
    rte_eth_dev_info info{};
    if (const int error = rte_eth_dev_info_get(port_id_, &info); error != 0) {
        return failure("says nothing of itself", -error);
    }
    plugged_ = info.device;
    wants_one_buffer_ = (info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) == 0;
    rte_eth_conf conf{};
    if (!wants_one_buffer_) { conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS; }
    if (const int error = rte_eth_dev_configure(port_id_, 1, 1, &conf); error != 0) {
        return failure("can't be configured", code_of(error));
    }
    std::uint16_t rx = kDescriptors;
    std::uint16_t tx = kDescriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(port_id_, &rx, &tx);
    int error = rte_eth_rx_queue_setup(port_id_, 0, rx, SOCKET_ID_ANY, nullptr, pool);
    if (error != 0) { return failure("its receive queue can't be set up", -error); }
    error = rte_eth_tx_queue_setup(port_id_, 0, tx, SOCKET_ID_ANY, nullptr);
    if (error != 0) { return failure("its transmit queue can't be set up", -error); }
    if (error = rte_eth_dev_start(port_id_); error != 0) {
        return failure("can't be started", -error);
    }
    is_started_ = true;
    error = rte_eth_promiscuous_enable(port_id_);
    if (error != 0 && error != -ENOTSUP) { return failure("can't be made promiscuous", -error); }
    rte_ether_addr mac{};
    rte_eth_macaddr_get(port_id_, &mac);
    std::memcpy(mac_.bytes.data(), mac.addr_bytes, mac_.bytes.size());
    return Ok{};
}

Status Ethdev::set_mtu(std::uint16_t mtu) {
    if (mtu == mtu_) { return Ok{}; }
    const std::string wanted = "can't carry an mtu of " + std::to_string(mtu);
    if (plugged_name_.starts_with("net_af_packet")) {
        const unsigned room = number_of(device_, "framesz", kAfPacketFrame);
        if (room < unsigned{kAfPacketHeader} + kEthernetBytes + mtu) {
            return failure(wanted +
                               ", give it framesz=" + std::to_string(mtu > 4000 ? 16384 : 4096) +
                               " and a blocksz that is a multiple of it",
                           0);
        }
    }
    if (interface_.empty()) {
        std::uint16_t present = 0;
        rte_eth_dev_get_mtu(port_id_, &present);
        const int error = present == mtu ? 0 : rte_eth_dev_set_mtu(port_id_, mtu);
        if (error == -ENOTSUP) {  // A driver without an MTU of its own: what is sent is carried.
            mtu_ = mtu;
            return Ok{};
        }
        if (error != 0 && present < mtu) { return failure(wanted, 0); }
        rte_eth_dev_get_mtu(port_id_, &mtu_);
        return Ok{};
    }
    ifreq value{};
    int error = ask_interface(interface_, SIOCGIFMTU, value);
    if (error == 0 && value.ifr_mtu < mtu) {
        value.ifr_mtu = mtu;
        error = ask_interface(interface_, SIOCSIFMTU, value);
    }
    if (error != 0) { return failure(wanted, error); }
    mtu_ = mtu;
    return Ok{};
}

void Ethdev::discard_received() noexcept {
    std::array<rte_mbuf*, kBurstMax> frames;
    for (unsigned left = kDiscardMax; left > 0; left -= std::min(left, unsigned{kBurstMax})) {
        const std::uint16_t count = rte_eth_rx_burst(port_id_, 0, frames.data(), kBurstMax);
        if (count == 0) { return; }
        rte_pktmbuf_free_bulk(frames.data(), count);
    }
}

bool Ethdev::has_link() const noexcept {
    rte_eth_link link{};
    return rte_eth_link_get_nowait(port_id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

EthdevFigures Ethdev::figures() const noexcept {
    rte_eth_stats stats{};
    if (rte_eth_stats_get(port_id_, &stats) != 0) { return {}; }
    return {stats.imissed, stats.ierrors + stats.rx_nombuf, stats.oerrors};
}

// Buffers of a pool of its own may still be on their way to other ports; a pool that does not fill
// up again is left to the process's end.
Ethdev::~Ethdev() {
    if (is_started_) {
        rte_eth_promiscuous_disable(port_id_);
        rte_eth_dev_stop(port_id_);
    }
    if (port_id_ != kNoPortId) { rte_eth_dev_close(port_id_); }
    if (plugged_ != nullptr) { rte_dev_remove(plugged_); }
    if (own_pool_ == nullptr) { return; }
    for (int tries = 0; tries < 100 && !rte_mempool_full(own_pool_); ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (rte_mempool_full(own_pool_)) { rte_mempool_free(own_pool_); }
}

}  // namespace sluice::datapath
