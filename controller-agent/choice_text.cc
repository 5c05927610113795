// SPDX-License-Identifier: Apache-2.0
// Words of the interface for the model's choices (write_json.h). Any thread, pure.
#include "controller-agent/write_json.h"

namespace sluice::agent {

const char* to_text(model::VlanMode mode) {
    switch (mode) {
        case model::VlanMode::kNone: return "none";
        case model::VlanMode::kAccess: return "access";
        case model::VlanMode::kTrunk: return "trunk";
    }
    return "none";
}

const char* to_text(model::SpoofGuard mode) {
    switch (mode) {
        case model::SpoofGuard::kOff: return "off";
        case model::SpoofGuard::kAuto: return "auto";
        case model::SpoofGuard::kManual: return "manual";
    }
    return "off";
}

const char* to_text(model::PortKind kind) {
    switch (kind) {
        case model::PortKind::kVhost: return "vhost";
        case model::PortKind::kKernel: return "kernel";
        case model::PortKind::kService: return "service";
    }
    return "vhost";
}

const char* to_text(model::SocketMode mode) {
    switch (mode) {
        case model::SocketMode::kClient: return "client";
        case model::SocketMode::kServer: return "server";
    }
    return "client";
}

const char* to_text(model::AclAction action) {
    switch (action) {
        case model::AclAction::kPermit: return "permit";
        case model::AclAction::kDeny: return "deny";
        case model::AclAction::kCount: return "count";
    }
    return "permit";
}

const char* to_text(model::DfwAction action) {
    switch (action) {
        case model::DfwAction::kAllow: return "allow";
        case model::DfwAction::kDrop: return "drop";
        case model::DfwAction::kReject: return "reject";
    }
    return "allow";
}

const char* to_text(model::RuleDirection direction) {
    switch (direction) {
        case model::RuleDirection::kBoth: return "both";
        case model::RuleDirection::kIn: return "in";
        case model::RuleDirection::kOut: return "out";
    }
    return "both";
}

const char* to_text(model::Alg alg) {
    switch (alg) {
        case model::Alg::kNone: return "none";
        case model::Alg::kFtp: return "ftp";
        case model::Alg::kTftp: return "tftp";
    }
    return "none";
}

}  // namespace sluice::agent
