// SPDX-License-Identifier: Apache-2.0
// Network namespaces by name, as `ip netns` keeps them. The helper's one thread steps into one and
// back out again.
#pragma once

#include <cstdint>
#include <string>

#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::privileged {

inline constexpr const char* kNetnsFolder = "/run/netns";

/// Inode of a named namespace; 0 if there is none. It changes when the name is made anew. Any
/// thread.
[[nodiscard]] std::uint64_t netns_inode(const std::string& name);

/// The calling thread is inside a namespace for the life of this object.
class NetnsVisit {
public:
    /// Steps into `name` ("": stays). kNotFound, kDenied or kInvalid with a sentence.
    [[nodiscard]] static Result<NetnsVisit> enter(const std::string& name);
    NetnsVisit(NetnsVisit&&) noexcept = default;
    NetnsVisit& operator=(NetnsVisit&&) = delete;
    /// Steps back; ends the process if that is impossible, since all else would happen elsewhere.
    ~NetnsVisit();

    [[nodiscard]] std::uint64_t inode() const noexcept { return inode_; }

private:
    NetnsVisit(relay::Fd home, std::uint64_t inode) : home_(std::move(home)), inode_(inode) {}
    relay::Fd home_;  // Invalid: stayed at home.
    std::uint64_t inode_;
};

}  // namespace sluice::privileged
