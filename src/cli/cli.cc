// SPDX-License-Identifier: Apache-2.0
// Parse, ask, print. Failures of any step end here as one sentence and an exit status.
#include "cli.h"

#include <nlohmann/json.hpp>

#include "client.h"
#include "completion.h"
#include "document_file.h"
#include "failure.h"
#include "format.h"
#include "health.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr auto kReplaceBadUtf8 = json::error_handler_t::replace;

int exit_of(const Failure& failure) {
    const bool is_two = failure.code == "usage" || failure.code == kUnreachable;
    return is_two ? kExitUsage : kExitFailed;
}

int report(const Failure& failure, bool as_json, const Streams& streams) {
    if (failure.message.empty()) { return exit_of(failure); }  // What there is to say was said.
    if (as_json) {
        const json error{
            {"code", failure.code}, {"message", failure.message}, {"object", failure.object}};
        // On both: a script that reads answers finds it where they come, one that watches errors
        // there.
        const std::string text = json{{"error", error}}.dump(-1, ' ', false, kReplaceBadUtf8);
        streams.out << text << '\n' << std::flush;
        streams.err << text << '\n' << std::flush;
    } else {
        streams.err << "sluice: " << printable(failure.message) << '\n' << std::flush;
    }
    return exit_of(failure);
}

Outcome<json> ask(const Invocation& invocation, std::istream& in) {
    if (invocation.document_path.empty()) {
        const std::string params = invocation.params.dump(-1, ' ', false, kReplaceBadUtf8);
        return call(invocation.endpoint, invocation.method, params);
    }
    auto document = read_document(invocation.document_path, in);
    if (!document.ok()) { return document.failure(); }
    return call(invocation.endpoint, invocation.method, document.value());
}

Outcome<std::string> answer_locally(const Invocation& invocation, const json& args) {
    if (invocation.command->words == "completion" && args == "bash") { return bash_completion(); }
    if (invocation.command->words == "completion" && args == "zsh") { return zsh_completion(); }
    if (invocation.command->words == "completion" && args == "fish") { return fish_completion(); }
    return Failure{"usage",
                   "completion: no script for " + args.dump() + ": expected bash, zsh or fish", ""};
}

int run(const Invocation& invocation, const Streams& streams) {
    const bool on_database = !invocation.database.remotes.empty();
    if (invocation.command->local) {
        auto text = answer_locally(invocation, invocation.params.value("", json()));
        if (!text.ok()) { return report(text.failure(), invocation.json, streams); }
        streams.out << text.value();
        return kExitOk;
    }
    if (invocation.command->drive != nullptr) {
        auto done = invocation.command->drive(invocation, streams);
        return done.ok() ? kExitOk : report(done.failure(), invocation.json, streams);
    }
    const auto answer = on_database ? invocation.command->on_database : invocation.command->answer;
    auto result = answer != nullptr ? answer(invocation, streams) : ask(invocation, streams.in);
    if (!on_database && result.ok() && invocation.command->follow != nullptr) {
        result = invocation.command->follow(invocation, std::move(result.value()));
    }
    if (!result.ok()) { return report(result.failure(), invocation.json, streams); }
    if (invocation.json) {
        streams.out << result.value().dump(2, ' ', false, kReplaceBadUtf8) << '\n';
    } else {
        const auto render = on_database && invocation.command->render_database != nullptr
                                ? invocation.command->render_database
                                : invocation.command->render;
        render(result.value(), View{streams.out, streams.color, invocation.method});
    }
    return kExitOk;
}

int print_completions(const std::vector<std::string>& words, const Streams& streams) {
    for (const auto& word : complete(words)) { streams.out << word << '\n'; }
    return kExitOk;
}

}  // namespace

int run_cli(const std::vector<std::string>& args, const Streams& streams) {
    if (args.size() >= 3 && args[0] == "completion" && args[1] == "words" && args[2] == "--") {
        return print_completions({args.begin() + 3, args.end()}, streams);
    }
    auto invocation = parse_arguments(args);
    if (!invocation.ok()) { return report(invocation.failure(), wants_json(args), streams); }
    int status = kExitOk;
    if (invocation.value().command == nullptr) {
        streams.out << invocation.value().text;
    } else {
        status = run(invocation.value(), streams);
    }
    streams.out.flush();
    if (streams.out.good()) { return status; }
    return report({"io", "cannot write the output", ""}, false, streams);
}

}  // namespace sluice::cli
