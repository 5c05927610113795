// SPDX-License-Identifier: Apache-2.0
// From the words of the command line to one command with its options: finds the command by its
// words, then lets CLI11 read what is left. Words first and by hand, because a port may be named
// like a command. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client.h"
#include "command.h"
#include "database.h"
#include "failure.h"

namespace sluice::cli {

/// An option that every command has.
struct GlobalOption {
    const char* names;  ///< As CLI11 has them: "-o,--output".
    const char* help;
};
inline constexpr GlobalOption kOutputOption{"-o,--output", "table (for people) or json"};
inline constexpr GlobalOption kSocketOption{"--socket", "the daemon's socket"};
inline constexpr GlobalOption kTimeoutOption{"--timeout", "seconds to wait for the answer"};

/// Options of commands that can ask a fleet's database.
inline constexpr GlobalOption kDatabaseOption{
    "--db", "a fleet's database: REMOTE[,REMOTE...] as tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH"};
inline constexpr GlobalOption kStatusOption{
    "--status-db", "the database of reports, if not the one that --db names"};
inline constexpr GlobalOption kKeyOption{"--private-key", "PEM file, for ssl"};
inline constexpr GlobalOption kCertificateOption{"--certificate", "PEM file, for ssl"};
inline constexpr GlobalOption kCaOption{"--ca-cert",
                                        "PEM file of the authority that servers must have"};

/// What the user asked for.
struct Invocation {
    const Command* command = nullptr;  ///< Null: only `text` is to be printed.
    std::string text;                  ///< Help or version.
    Endpoint endpoint;
    bool json = false;
    std::string method;
    nlohmann::json params = nlohmann::json::object();
    std::string document_path;       ///< Not empty: the file is the parameters.
    std::vector<std::string> peers;  ///< Sockets of other hosts' daemons.
    DatabaseOptions database;
};

/// The command words at the start of `args`, global options between them left out.
struct Words {
    std::string found;              ///< Longest run of words that commands begin with.
    std::string unknown;            ///< The word after them that no command has; empty if none.
    std::vector<std::string> rest;  ///< Everything else, in order.
    std::size_t before = 0;         ///< How many of `rest` stood before the last word found.
};
[[nodiscard]] Words split_words(const std::vector<std::string>& args);

/// Failures: code "usage", for exit 2.
[[nodiscard]] Outcome<Invocation> parse_arguments(const std::vector<std::string>& args);

/// True if the arguments ask for JSON, be they right or wrong.
[[nodiscard]] bool wants_json(const std::vector<std::string>& args);

}  // namespace sluice::cli
