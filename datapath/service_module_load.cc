// SPDX-License-Identifier: Apache-2.0
// Loading of in-process services: see service_module.h. Control thread or its helper.
#include <dlfcn.h>
#include <rte_cycles.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "datapath/service_module.h"
#include "datapath/service_state_pool.h"
#include "sluice_service.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;

Error refused(const std::string& name, const std::string& why, Errc code = Errc::kInvalid) {
    const std::string object = "service module " + name;
    return Error{code, object + ": " + why, object};
}

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string shown(const char* text) { return text == nullptr ? "" : std::string(text); }

}  // namespace

ServiceModule::ServiceModule() : slow_cycles_(rte_get_tsc_hz() / (kSecondNs / kModuleCallNs)) {}

ServiceModule::~ServiceModule() {
    if (is_open_) {
        try {
            table_->close(service_);
        } catch (...) {  // Nobody is left to tell.
        }
    }
    if (library_ != nullptr) { dlclose(library_); }
}

std::string ServiceModule::name() const { return table_->name; }
std::string ServiceModule::version() const { return shown(table_->version); }

Result<std::shared_ptr<ServiceModule>> ServiceModule::load(const std::string& folder,
                                                           const std::string& name) {
    const std::shared_ptr<ServiceModule> module(new ServiceModule);
    if (Status opened = module->open(folder, name); !opened) { return opened.error(); }
    return module;
}

Status ServiceModule::open(const std::string& folder, const std::string& name) {
    const std::string path = folder + "/" + name + ".so";
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) {
        return refused(name, path + " does not exist", Errc::kNotFound);
    }
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) { return refused(name, shown(dlerror())); }
    table_ = static_cast<const sluice_service_v1*>(dlsym(library_, SLUICE_SERVICE_SYMBOL));
    if (table_ == nullptr) {
        return refused(name, path + " does not export " SLUICE_SERVICE_SYMBOL);
    }
    if (Status checked = check(name); !checked) { return checked; }
    const std::string config = text_of(folder + "/" + name + ".conf");
    std::array<char, 256> error{};
    int result = -1;
    try {
        result = table_->open(config.c_str(), &service_, error.data(), error.size());
    } catch (...) { return refused(name, "open threw an exception"); }
    error.back() = '\0';
    if (result != 0) { return refused(name, std::string("does not open: ") + error.data()); }
    is_open_ = true;
    if (table_->state_size != 0) {
        states_ = std::make_unique<ServiceStatePool>(table_->state_size);
    }
    return Ok{};
}

Status ServiceModule::check(const std::string& name) const {
    if (table_->abi_version != SLUICE_SERVICE_ABI_VERSION) {
        return refused(name, "abi_version " + std::to_string(table_->abi_version) + " is not " +
                                 std::to_string(SLUICE_SERVICE_ABI_VERSION));
    }
    if (table_->struct_size < sizeof *table_) {
        return refused(name, "struct_size " + std::to_string(table_->struct_size) +
                                 " is less than " + std::to_string(sizeof *table_));
    }
    if (shown(table_->name) != name) {
        return refused(name, "names itself \"" + shown(table_->name) + "\"");
    }
    if (table_->state_size > SLUICE_SERVICE_STATE_MAX) {
        return refused(name, "state_size " + std::to_string(table_->state_size) + " is more than " +
                                 std::to_string(SLUICE_SERVICE_STATE_MAX));
    }
    const bool is_whole = table_->open != nullptr && table_->close != nullptr &&
                          table_->decide != nullptr && table_->inspect != nullptr;
    if (!is_whole) { return refused(name, "lacks one of open, close, decide and inspect"); }
    return Ok{};
}

}  // namespace sluice::datapath
