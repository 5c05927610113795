// SPDX-License-Identifier: Apache-2.0
// Connect, send one line, receive one line. The answer is read even if sending failed: a daemon
// that refuses a request in the middle says why before it hangs up.
#include "client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace sluice::cli {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;
constexpr std::size_t kAnswerSizeMax = (std::size_t{1} << 30U) + 4096;

Failure io_failure(const Endpoint& endpoint, const std::string& what) {
    return {"io", "sluiced at " + endpoint.socket_path + ": " + what, ""};
}

Failure unreachable(const Endpoint& endpoint, int why) {
    std::string message = "cannot reach sluiced at " + endpoint.socket_path + " (";
    message += std::strerror(why);
    message += why == EACCES ? "): may you enter its folder?"
                             : "): is sluiced running, or does --socket name another path?";
    return {"io", message, ""};
}

bool send_all(int fd, std::string_view text, Clock::time_point deadline) {
    while (!text.empty() && Clock::now() < deadline) {
        const auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) { return false; }
        if (sent > 0) { text.remove_prefix(static_cast<std::size_t>(sent)); }
    }
    return text.empty();
}

// One or more whole lines.
Outcome<std::string> receive_lines(const Endpoint& endpoint, int fd, Clock::time_point deadline) {
    std::string text;
    std::vector<char> chunk(std::size_t{256} << 10U);
    while (text.size() <= kAnswerSizeMax) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd wait{fd, POLLIN, 0};
        const int ready = left <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left));
        if (ready < 0 && errno == EINTR) { continue; }
        if (ready <= 0) { return io_failure(endpoint, "no answer in time (see --timeout)"); }
        const auto size = ::recv(fd, chunk.data(), chunk.size(), 0);
        if (size < 0 && errno == EINTR) { continue; }
        if (size <= 0) { return io_failure(endpoint, "closed the connection without an answer"); }
        text.append(chunk.data(), static_cast<std::size_t>(size));
        if (text.back() == '\n') { return text; }
    }
    return io_failure(endpoint, "sent an answer that is too large");
}

// What is left of whole lines without the notifications, which have no id.
std::string take_progress(const std::string& lines, const Progress& tell) {
    std::size_t begin = 0;
    while (begin < lines.size()) {
        const std::size_t end = lines.find('\n', begin);
        const json line = json::parse(lines.substr(begin, end - begin), nullptr, false);
        if (!line.is_object() || line.contains("id")) { break; }
        tell(line.value("params", json::object()));
        begin = end + 1;
    }
    return lines.substr(begin);
}

Failure read_error(const json& error, const std::string& method) {
    const json data = error.value("data", json::object());
    const int code = error.value("code", 0);
    Failure failure{"invalid", error.value("message", "unknown error"), ""};
    if (data.is_object()) {
        failure.code = data.value("code", failure.code);
        failure.message = data.value("message", failure.message);
        failure.object = data.value("object", "");
    }
    if (code == -32601) {
        failure.code = "unsupported";
        failure.message = "sluiced does not know " + method + ": is it of another version?";
    }
    return failure;
}

Outcome<json> read_answer(const Endpoint& endpoint, const std::string& line,
                          const std::string& method) {
    json answer = json::parse(line, nullptr, false);
    if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
        return read_error(answer["error"], method);
    }
    if (!answer.is_object() || !answer.contains("result")) {
        return io_failure(endpoint, "sent something that is no JSON-RPC answer");
    }
    return std::move(answer["result"]);
}

}  // namespace

Dialogue::~Dialogue() {
    if (fd_ >= 0) { ::close(fd_); }
}

Outcome<bool> Dialogue::open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string& path = endpoint_.socket_path;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return unreachable(endpoint_, ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    const timeval limit{endpoint_.timeout.count() / 1000, endpoint_.timeout.count() % 1000 * 1000};
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
        return unreachable(endpoint_, errno);
    }
    return true;
}

Outcome<json> Dialogue::call(const std::string& method, const std::string& params_text) {
    return call(method, params_text, nullptr);
}

Outcome<json> Dialogue::call(const std::string& method, const std::string& params_text,
                             const Progress& tell) {
    const auto deadline = Clock::now() + endpoint_.timeout;
    const std::string request = R"({"jsonrpc":"2.0","id":1,"method":)" + json(method).dump() +
                                ",\"params\":" + params_text + "}\n";
    (void)send_all(fd_, request, deadline);
    for (;;) {
        auto lines = receive_lines(endpoint_, fd_, deadline);
        if (!lines.ok()) { return lines.failure(); }
        const std::string answer = tell ? take_progress(lines.value(), tell) : lines.value();
        if (!answer.empty()) { return read_answer(endpoint_, answer, method); }
    }
}

Outcome<json> call(const Endpoint& endpoint, const std::string& method,
                   const std::string& params_text) {
    Dialogue dialogue(endpoint);
    if (auto opened = dialogue.open(); !opened.ok()) { return opened.failure(); }
    return dialogue.call(method, params_text);
}

}  // namespace sluice::cli
