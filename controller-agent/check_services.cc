// SPDX-License-Identifier: Apache-2.0
// See check_services.h: service_chains.
#include "controller-agent/check_services.h"

#include <algorithm>
#include <map>
#include <string>

#include "controller-agent/check_document.h"
#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::ServiceInstance;
using model::ServiceRule;

std::string quoted(const std::string& text) { return shown(std::string_view(text)); }

/// What all rules say of an instance alike.
ServiceInstance without_weight(ServiceInstance instance) {
    instance.weight = 1;
    return instance;
}

class ServiceChecker {
public:
    ServiceChecker(const model::Document& document, Fault& fault)
        : document_(document), fault_(fault) {
        for (const model::Port& port : document.ports) { ports_.emplace(port.name, &port); }
        for (const model::PortGroup& group : document.port_groups) {
            if (group.vni != 0) { vnis_.emplace(group.vni, "port_group " + group.name); }
        }
    }

    void run() {
        std::size_t rules = 0;
        for (const model::ServiceChain& chain : document_.service_chains) {
            const std::string object = "service_chain " + chain.name;
            rules += chain.rules.size();
            if (rules > kServiceRuleMax) {
                refuse(Errc::kLimit, object,
                       "with it the document has " + std::to_string(rules) +
                           " service rules, at most " + std::to_string(kServiceRuleMax) +
                           " are allowed");
            }
            for (const ServiceRule& rule : chain.rules) {
                if (fault_.any()) { return; }
                check_rule(object + " rule " + rule.name, rule);
            }
        }
    }

private:
    void refuse(Errc code, const std::string& object, const std::string& why) {
        fault_.refuse(code, object, why);
    }

    void check_rule(const std::string& object, const ServiceRule& rule) {
        const bool redirects = rule.action == model::ServiceAction::kRedirect;
        if (redirects && rule.instances.empty()) {
            refuse(Errc::kInvalid, object,
                   "instances is empty, action redirect needs at least one instance");
        }
        if (!redirects && !rule.instances.empty()) {
            refuse(Errc::kInvalid, object,
                   "instances holds " + quoted(rule.instances.front().name) +
                       ", action bypass takes none");
        }
        for (const ServiceInstance& instance : rule.instances) {
            const std::string whom = object + " instance " + instance.name;
            const auto [at, is_new] =
                known_.try_emplace(instance.name, Known{without_weight(instance), object});
            if (is_new) {
                check_instance(whom, instance);
            } else if (at->second.instance != without_weight(instance)) {
                refuse(Errc::kInvalid, whom,
                       "is said otherwise in " + at->second.object +
                           ", all rules say the same of an instance, weight apart");
            }
        }
        if (known_.size() > kServiceInstanceMax) {
            refuse(Errc::kLimit, object,
                   "with it the document has " + std::to_string(known_.size()) +
                       " service instances, at most " + std::to_string(kServiceInstanceMax) +
                       " are allowed");
        }
    }

    void check_instance(const std::string& object, const ServiceInstance& instance) {
        const int places = static_cast<int>(!instance.in.empty()) +
                           static_cast<int>(instance.vtep.has_value()) +
                           static_cast<int>(!instance.module.empty());
        if (places != 1) {
            refuse(Errc::kInvalid, object,
                   places == 0 ? "has no place, expected one of in, vtep and module"
                               : "has several places, expected one of in, vtep and module");
            return;
        }
        if (!instance.out.empty() && instance.in.empty()) {
            refuse(Errc::kInvalid, object, "out " + quoted(instance.out) + " needs an in, too");
        }
        if (!instance.in.empty()) { check_leg(object, "in", instance.in); }
        if (!instance.out.empty()) { check_leg(object, "out", instance.out); }
        if (instance.vtep) { check_vtep(object, instance); }
        if (!instance.module.empty()) { check_module(object, instance); }
        check_vni(object, instance);
        check_path(object, instance);
    }

    void check_leg(const std::string& object, const char* key, const std::string& name) {
        const auto at = ports_.find(name);
        if (at == ports_.end()) {
            refuse(Errc::kInvalid, object,
                   std::string(key) + " " + quoted(name) +
                       " does not exist, expected a port of kind service");
            return;
        }
        if (at->second->kind != model::PortKind::kService) {
            refuse(Errc::kInvalid, object,
                   std::string(key) + " " + quoted(name) + " is not a port of kind service");
        }
        const auto [leg, is_new] = legs_.try_emplace(name, object);
        if (!is_new) {
            refuse(Errc::kExists, object,
                   std::string(key) + " " + quoted(name) + " is a leg of " + leg->second + " too");
        }
    }

    /// The address itself is check_overlay's.
    void check_vtep(const std::string& object, const ServiceInstance& instance) {
        if (instance.vni != 0) { return; }
        refuse(
            Errc::kInvalid, object,
            "vtep " + to_string(*instance.vtep) + " needs a vni, by which frames are handed to it");
    }

    void check_module(const std::string& object, const ServiceInstance& instance) {
        if (!is_name(instance.module)) {
            refuse(
                Errc::kInvalid, object,
                "module " + quoted(instance.module) + " is not the name of an in-process service");
        }
        if (instance.encapsulation != model::Encapsulation::kPlain) {
            refuse(Errc::kInvalid, object, "encapsulation nsh needs a leg, module has none");
        }
        if (instance.vni != 0) {
            refuse(Errc::kInvalid, object,
                   "vni " + std::to_string(instance.vni) +
                       " is given, a module is not reached from other hosts");
        }
    }

    void check_vni(const std::string& object, const ServiceInstance& instance) {
        if (instance.vni == 0) { return; }
        const auto at = vnis_.find(instance.vni);
        if (at == vnis_.end()) { return; }
        refuse(Errc::kExists, object,
               "vni " + std::to_string(instance.vni) + " is that of " + at->second +
                   ", expected one that no port group has");
    }

    void check_path(const std::string& object, const ServiceInstance& instance) {
        const std::uint32_t path =
            instance.path != 0 ? instance.path : model::default_path(instance.name);
        const auto [at, is_new] = paths_.try_emplace(path, instance.name);
        if (is_new) { return; }
        refuse(Errc::kExists, object,
               "path " + std::to_string(path) + " is that of instance " + at->second +
                   " too, expected one of its own");
    }

    struct Known {
        ServiceInstance instance;
        std::string object;
    };
    const model::Document& document_;
    Fault& fault_;
    std::map<std::string, const model::Port*> ports_;
    std::map<std::string, Known> known_;
    std::map<std::string, std::string> legs_;
    std::map<std::uint32_t, std::string> vnis_;
    std::map<std::uint32_t, std::string> paths_;
};

}  // namespace

void check_services(const model::Document& document, Fault& fault) {
    if (document.service_chains.empty()) { return; }
    ServiceChecker(document, fault).run();
}

}  // namespace sluice::agent
