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

const char* to_text(model::Replication replication) {
    switch (replication) {
        case model::Replication::kUnicast: return "unicast";
        case model::Replication::kHeadEnd: return "head_end";
        case model::Replication::kServiceNode: return "service_node";
        case model::Replication::kHybrid: return "hybrid";
        case model::Replication::kMulticast: return "multicast";
    }
    return "unicast";
}

const char* to_text(model::TeamingPolicy policy) {
    switch (policy) {
        case model::TeamingPolicy::kPortId: return "port_id";
        case model::TeamingPolicy::kSourceMac: return "src_mac";
        case model::TeamingPolicy::kIpHash: return "ip_hash";
        case model::TeamingPolicy::kLoad: return "load";
        case model::TeamingPolicy::kExplicit: return "explicit";
    }
    return "port_id";
}

const char* to_text(model::FailureDetection detection) {
    switch (detection) {
        case model::FailureDetection::kLink: return "link";
        case model::FailureDetection::kProbe: return "probe";
    }
    return "link";
}

const char* to_text(model::Lacp lacp) {
    switch (lacp) {
        case model::Lacp::kOff: return "off";
        case model::Lacp::kActive: return "active";
        case model::Lacp::kPassive: return "passive";
    }
    return "off";
}

const char* to_text(model::ServiceAction action) {
    switch (action) {
        case model::ServiceAction::kRedirect: return "redirect";
        case model::ServiceAction::kBypass: return "bypass";
    }
    return "redirect";
}

const char* to_text(model::Initiator initiator) {
    switch (initiator) {
        case model::Initiator::kBoth: return "both";
        case model::Initiator::kIn: return "in";
        case model::Initiator::kOut: return "out";
    }
    return "both";
}

const char* to_text(model::OnFailure on_failure) {
    switch (on_failure) {
        case model::OnFailure::kOpen: return "open";
        case model::OnFailure::kClosed: return "closed";
    }
    return "open";
}

const char* to_text(model::Encapsulation encapsulation) {
    switch (encapsulation) {
        case model::Encapsulation::kPlain: return "plain";
        case model::Encapsulation::kNsh: return "nsh";
    }
    return "plain";
}

const char* to_text(model::KeyAlgorithm algorithm) {
    switch (algorithm) {
        case model::KeyAlgorithm::kAes128Gcm: return "aes-128-gcm";
        case model::KeyAlgorithm::kAes256Gcm: return "aes-256-gcm";
        case model::KeyAlgorithm::kAes128Gmac: return "aes-128-gmac";
    }
    return "aes-128-gcm";
}

const char* to_text(model::EncryptionAction action) {
    switch (action) {
        case model::EncryptionAction::kEncrypt: return "encrypt";
        case model::EncryptionAction::kIntegrity: return "integrity";
        case model::EncryptionAction::kClear: return "clear";
    }
    return "encrypt";
}

}  // namespace sluice::agent
