// SPDX-License-Identifier: Apache-2.0
// See manual.h. One mdoc macro a line; text that an operator reads is escaped, since a dot or a
// backslash would be a macro to the formatter.
#include "manual.h"

#include "command.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

constexpr const char* kHead = R"(.Dd November 21, 2026
.Dt SLUICE 1
.Os
.Sh NAME
.Nm sluice
.Nd drive the host virtual switch
.Sh SYNOPSIS
.Nm sluice
.Op Fl \-socket Ar path
.Op Fl o Cm table | json
.Op Fl \-timeout Ar seconds
.Ar command
.Op Ar arguments
.Sh DESCRIPTION
.Nm
asks a running
.Xr sluiced 8
over its Unix socket.
Anyone who can open the socket may look; root and members of group
.Sy sluice
may change.
The global options may stand before or after the command:
)";

constexpr const char* kTail = R"(.Sh ENVIRONMENT
.Bl -tag -width Ds
.It Ev SLUICE_SOCKET
The daemon's socket, if
.Fl \-socket
does not name one.
.It Ev NO_COLOR
If set, tables are not coloured.
.El
.Sh FILES
.Bl -tag -width Ds
.It Pa /run/sluice/sluiced.sock
The daemon's socket.
.It Pa /usr/share/doc/sluice/examples
Documents to start from.
.El
.Sh EXIT STATUS
.Bl -tag -width Ds
.It 0
Done.
.It 1
Refused or failed: one sentence on standard error, with
.Fl o Cm json
an object
.Sy error
with
.Sy code ,
.Sy message
and
.Sy object .
.It 2
The command line made no sense.
.El
)";

constexpr const char* kSeeAlso = R"(.Sh SEE ALSO
.Xr sluice-host.json 5 ,
.Xr sluiced 8
.Pp
.Pa /usr/share/doc/sluice/cli.md
explains the commands,
.Pa /usr/share/doc/sluice/defaults.md
lists every key of a document with its default.
)";

/// As it is, whatever it begins with or holds.
std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\') {
            out += "\\e";
        } else if (c == '-') {
            out += "\\-";
        } else if (c == '\'' || c == '.') {
            out += "\\&";
            out += c;
        } else {
            out += c;
        }
    }
    return out;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : escaped(text)) {
        out += c == '"' ? std::string("\"\"") : std::string(1, c);
    }
    return out + "\"";
}

bool takes_value(const Argument& argument) {
    return argument.is_option() && argument.kind != Kind::kFlag &&
           argument.kind != Kind::kFlagOff && argument.kind != Kind::kSuffix;
}

/// "Fl \-top Ar n", "Ar PORT"; what follows a macro on its line.
std::string markup(const Argument& argument) {
    if (!argument.is_option()) {
        return "Ar " + quoted(argument.name) + (argument.kind == Kind::kTexts ? " ..." : "");
    }
    const std::string flag = "Fl " + quoted(argument.name.substr(1));
    return takes_value(argument) ? flag + " Ar " + (argument.kind == Kind::kCount ? "n" : "value")
                                 : flag;
}

std::string command_entry(const Command& command) {
    std::string out = ".It Cm " + quoted(command.words);
    for (const auto& argument : command.arguments) {
        out += (argument.required ? " " : " Oo ") + markup(argument);
        if (!argument.required) { out += " Oc"; }
    }
    out += "\n" + escaped(command.summary) + ".\n";
    if (command.arguments.empty()) { return out; }
    out += ".Bl -tag -width Ds -compact\n";
    for (const auto& argument : command.arguments) {
        out += ".It " + markup(argument) + "\n" + escaped(argument.help) + "\n";
    }
    return out + ".El\n";
}

std::string option_entry(const GlobalOption& option) {
    const std::string names(option.names);
    const auto comma = names.find(',');
    const std::string name = comma == std::string::npos ? names : names.substr(0, comma);
    return ".It Fl " + quoted(name.substr(1)) + " Ar value\n" + escaped(option.help) + "\n";
}

std::string examples() {
    std::string out = ".Sh EXAMPLES\n.Bd -literal\n";
    for (const auto& command : all_commands()) {
        for (const auto& example : command.examples) { out += "sluice " + escaped(example) + "\n"; }
    }
    return out + ".Ed\n";
}

}  // namespace

std::string manual_page() {
    std::string out = kHead;
    out += ".Bl -tag -width Ds\n";
    for (const auto& option : {kSocketOption, kOutputOption, kTimeoutOption, kDatabaseOption,
                               kStatusOption, kKeyOption, kCertificateOption, kCaOption}) {
        out += option_entry(option);
    }
    out += ".El\n.Sh COMMANDS\n.Bl -tag -width Ds\n";
    for (const auto& command : all_commands()) { out += command_entry(command); }
    return out + ".El\n" + kTail + examples() + kSeeAlso;
}

}  // namespace sluice::cli
