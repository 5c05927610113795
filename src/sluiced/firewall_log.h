// SPDX-License-Identifier: Apache-2.0
// FirewallLog: one JSON line for each connection that a rule with `log` lets open, one for its end,
// and one for each flow that it refuses. Workers leave numbers in a ring each (datapath/events.h);
// this takes them out a few times a second while such a rule exists, finds the names, and has the
// lines written on a thread of its own. What is too much (a full ring, more than
// kFirewallLogLinesPerS, a full disk) is left out, and a line with its count says so. Control
// thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "src/host/compile.h"
#include "src/sluiced/log_file.h"

namespace sluice::daemon {

class FirewallLog {
public:
    FirewallLog(boost::asio::io_context& io, datapath::Dataplane& dataplane, std::string path);
    ~FirewallLog();

    /// Opens the file at once, to say what is wrong with its path.
    [[nodiscard]] Status open() { return file_.open(); }
    /// The rules with `log` of the document that runs from now on.
    void set_rules(host::LoggedRules rules);
    /// The file was moved away: goes on in a new one.
    void reopen();
    /// Writes what is there, waits for the disk and ends. Workers have ended.
    void stop();

private:
    void wait();
    bool collect();
    [[nodiscard]] std::string take_lines();
    void forget_lost();
    void add_event(const datapath::FirewallEvent& event, std::string& text);
    void add_line(const datapath::FirewallEvent& event, std::string& text);
    void add_left_out(std::string& text);
    [[nodiscard]] bool may_write() noexcept;
    void write(std::string text);
    [[nodiscard]] const host::RuleName* name_of(RuleId rule) const;
    [[nodiscard]] bool is_needed() const { return !rules_.empty() || !previous_.empty(); }

    datapath::Dataplane& dataplane_;
    boost::asio::steady_timer timer_;
    boost::asio::thread_pool writer_{1};
    LogFile file_;                      // writer
    bool is_failing_ = false;           // writer
    std::atomic<bool> is_busy_{false};  // writer: w, control: rw
    std::atomic<std::uint64_t> lost_{
        0};  // Events whose line could not be written. writer: rw, control: rw
    std::uint32_t lines_in_text_ = 0;
    std::uint64_t events_in_text_ = 0;  // What the text tells, those left out included.
    host::LoggedRules rules_, previous_;
    std::vector<std::uint64_t> seen_lost_;  // By worker: EventRing::lost() so far.
    std::uint64_t left_out_ = 0;
    std::uint64_t second_ = 0;  // Of lines_this_second_.
    std::uint32_t lines_this_second_ = 0;
    bool is_waiting_ = false;
    bool is_stopped_ = false;
};

}  // namespace sluice::daemon
