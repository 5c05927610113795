// SPDX-License-Identifier: Apache-2.0
// sluice capture: starts a capture on a connection of its own, asks for frames until there are
// enough or the user has, and writes them as pcapng or as one line each. The daemon ends the
// capture when this program goes, however it does.
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <optional>

#include "bpf.h"
#include "cli.h"
#include "client.h"
#include "command.h"
#include "format.h"
#include "frame_text.h"
#include "invocation.h"
#include "pcapng.h"
#include "sluice/base/base64.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
constexpr std::uint32_t kSnapDefault = 262144;
volatile std::sig_atomic_t g_interrupted = 0;

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::system_clock::now().time_since_epoch())
                                          .count());
}

// While it lives, SIGINT and SIGTERM end the capture and not the program.
class Interruptible {
public:
    Interruptible() {
        g_interrupted = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { g_interrupted = 1; };
        ::sigaction(SIGINT, &action, &old_int_);
        ::sigaction(SIGTERM, &action, &old_term_);
    }
    ~Interruptible() {
        ::sigaction(SIGINT, &old_int_, nullptr);
        ::sigaction(SIGTERM, &old_term_, nullptr);
    }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

private:
    struct sigaction old_int_ {
    }, old_term_{};
};

struct Frame {
    std::uint64_t time_ns = 0;
    std::uint32_t size = 0;
    std::string direction;
    std::string comment;
    std::vector<std::uint8_t> bytes;
};

// "dropped: dfw_deny (slot 2 dfw)", and whose slot if it is another port's.
std::string comment_of(const json& row, const std::string& port) {
    const std::string reason = row.value("dropped", "");
    if (reason.empty()) { return ""; }
    std::string text = "dropped: " + reason;
    if (row.contains("slot")) {
        text +=
            " (slot " + std::to_string(number_of(row["slot"])) + " " + row.value("slot_name", "");
        const std::string of = row.value("slot_port", "");
        text += (of.empty() || of == port ? "" : " of " + of) + ")";
    }
    return text;
}

std::optional<Frame> read_frame(const json& row, const std::string& port) {
    if (!row.is_object() || !row.contains("data") || !row["data"].is_string()) {
        return std::nullopt;
    }
    auto bytes = base64_decode(row["data"].get_ref<const std::string&>());
    if (!bytes) { return std::nullopt; }
    Frame frame;
    frame.time_ns = number_of(value_at(row, "time_ns"));
    frame.size = static_cast<std::uint32_t>(number_of(value_at(row, "size")));
    frame.direction = row.value("direction", "");
    frame.comment = comment_of(row, port);
    frame.bytes = std::move(*bytes);
    return frame;
}

std::string clock_text(std::uint64_t time_ns) {
    const auto seconds = static_cast<std::time_t>(time_ns / 1000000000U);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    std::array<char, 32> text{};
    const std::size_t size = std::strftime(text.data(), text.size(), "%H:%M:%S", &local);
    std::snprintf(text.data() + size, text.size() - size, ".%06u",
                  static_cast<unsigned>(time_ns % 1000000000U / 1000U));
    return text.data();
}

// Where frames go: a pcapng file, lines of text, or lines of JSON.
class Sink {
public:
    Sink(const Invocation& invocation, const Streams& streams)
        : streams_(streams), as_json_(invocation.json) {}

    [[nodiscard]] Outcome<bool> open(const Invocation& invocation, const std::string& filter) {
        const std::string path = invocation.params.value("write", "");
        if (path.empty()) { return true; }
        if (path != "-") {
            file_.open(path, std::ios::binary | std::ios::trunc);
            if (!file_) {
                return Failure{"io", "capture: cannot write " + path + ": " + std::strerror(errno),
                               path};
            }
        }
        out_ = path == "-" ? &streams_.out : &file_;
        writer_.emplace(*out_);
        const std::string direction = invocation.params.value("direction", "both");
        std::string what = "sluice capture, " + direction;
        if (invocation.params.contains("slot")) {
            what += ", slot " + std::to_string(number_of(invocation.params["slot"]));
        }
        writer_->begin({invocation.params.value("port", ""), what, filter,
                        invocation.params.value("snaplen", kSnapDefault)},
                       "sluice " SLUICE_VERSION);
        out_->flush();
        return true;
    }
    void write(const Frame& frame, const json& row) {
        if (writer_) {
            writer_->write({frame.time_ns, frame.size, frame.bytes, frame.direction == "from-vm",
                            frame.comment});
        } else if (as_json_) {
            streams_.out << row.dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
        } else {
            streams_.out << clock_text(frame.time_ns) << ' '
                         << (frame.direction == "from-vm" ? "from-vm" : "to-vm  ") << ' '
                         << frame.size << ' ' << frame_text(frame.bytes)
                         << (frame.comment.empty() ? "" : "  " + printable(frame.comment)) << '\n';
        }
    }
    [[nodiscard]] bool flush() {
        std::ostream& out = writer_ ? *out_ : streams_.out;
        out.flush();
        return out.good();
    }
    void end(const PcapngTotals& totals) {
        if (writer_) { writer_->end(totals); }
    }

private:
    const Streams& streams_;
    const bool as_json_;
    std::ofstream file_;
    std::ostream* out_ = nullptr;
    std::optional<PcapngWriter> writer_;
};

struct Progress {
    std::uint64_t start_ns = 0;
    std::uint64_t count = 0;
    std::uint64_t missed = 0;
    std::string ended;  // Why, if the daemon ended it.
};

// One answer's frames. Failure if they can't be written.
Outcome<bool> write_frames(const json& answer, const std::string& port, std::uint64_t count_max,
                           Sink& sink, Progress& progress) {
    progress.missed = number_of(value_at(answer, "missed"));
    progress.ended = answer.value("ended", "");
    for (const json& row : answer.value("frames", json::array())) {
        if (progress.count >= count_max) { break; }
        if (const auto frame = read_frame(row, port)) {
            sink.write(*frame, row);
            ++progress.count;
        }
    }
    if (!sink.flush()) { return Failure{"io", "capture: cannot write the frames", ""}; }
    return true;
}

Outcome<bool> run_capture(Dialogue& dialogue, const std::string& id, const Invocation& invocation,
                          Sink& sink, Progress& progress) {
    const std::string port = invocation.params.value("port", "");
    const std::uint64_t count_max = invocation.params.value("count", UINT64_MAX);
    const auto patience = std::chrono::seconds(3);
    std::optional<Clock::time_point> deadline;
    while (progress.count < count_max && progress.ended.empty()) {
        // What came before the interrupt is still fetched, until there is nothing more.
        if (g_interrupted != 0 && !deadline) { deadline = Clock::now() + patience; }
        if (deadline && Clock::now() > *deadline) { break; }
        auto answer = dialogue.call("capture.next", id);
        if (!answer.ok()) { return answer.failure(); }
        if (deadline && value_at(answer.value(), "frames").empty()) { break; }
        auto written = write_frames(answer.value(), port, count_max, sink, progress);
        if (!written.ok()) { return written.failure(); }
    }
    return true;
}

Outcome<bool> drive_capture(const Invocation& invocation, const Streams& streams) {
    const std::string filter = invocation.params.value("filter", "");
    auto program = compile_filter(filter);
    if (!program.ok()) { return program.failure(); }
    json request = invocation.params;
    request.erase("count");
    request.erase("write");
    request["filter"] = program.value();
    Dialogue dialogue(invocation.endpoint);
    if (auto opened = dialogue.open(); !opened.ok()) { return opened.failure(); }
    const Interruptible interruptible;
    auto started = dialogue.call("capture.start", request.dump());
    if (!started.ok()) { return started.failure(); }
    const std::string id = json{{"capture", value_at(started.value(), "capture")}}.dump();
    Sink sink(invocation, streams);
    if (auto opened = sink.open(invocation, filter); !opened.ok()) { return opened.failure(); }
    streams.err << "capturing on " << printable(invocation.params.value("port", ""))
                << ", interrupt (Ctrl-C) ends it\n"
                << std::flush;
    Progress progress;
    progress.start_ns = now_ns();
    auto done = run_capture(dialogue, id, invocation, sink, progress);
    sink.end({progress.start_ns, now_ns(), progress.count + progress.missed, progress.missed});
    const bool is_written = sink.flush();
    if (done.ok()) { (void)dialogue.call("capture.stop", id); }
    streams.err << progress.count << " frames captured, " << progress.missed << " missed\n"
                << std::flush;
    if (!done.ok()) { return done.failure(); }
    if (!is_written) { return Failure{"io", "capture: cannot write the frames", ""}; }
    if (!progress.ended.empty()) { return Failure{"state", "capture: " + progress.ended, ""}; }
    return true;
}

}  // namespace

std::vector<Command> capture_commands() {
    Argument count{"--count", "count", Kind::kCount, false, "end after so many frames"};
    count.brief = "-c";
    Argument file{
        "--write",    "write", Kind::kText, false, "write pcapng there, - for standard output",
        Offer::kFiles};
    file.brief = "-w";
    file.metavar = "FILE";
    Argument filter{"--filter", "filter", Kind::kText, false, "only these frames, as for tcpdump"};
    filter.metavar = "BPF";
    Argument direction{"--direction",
                       "direction",
                       Kind::kText,
                       false,
                       "from-vm: entered by the port; to-vm: left by it or were dropped on their "
                       "way to it; both",
                       Offer::kDirections};
    direction.metavar = "D";
    Command capture{
        "capture",
        "frames of a port with how they ended, as text or pcapng",
        {{"PORT", "port", Kind::kText, true, "any port", Offer::kPorts},
         {"--slot", "slot", Kind::kCount, false,
          "only frames that this slot judged, as it saw them"},
         direction,
         filter,
         count,
         {"--snaplen", "snaplen", Kind::kCount, false, "bytes kept of each frame"},
         file},
        {"capture vm1", "capture vm1 --slot 2 --filter 'tcp port 443' -c 100",
         "capture vm1 --direction to-vm -w vm1.pcapng", "capture vm1 -w - | tcpdump -r -"},
    };
    capture.drive = drive_capture;
    return {capture};
}

}  // namespace sluice::cli
