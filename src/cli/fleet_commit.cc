// SPDX-License-Identifier: Apache-2.0
// Read, merge, check, plan, write; once more if another editor was faster. See fleet_commit.h.
#include "fleet_commit.h"

#include <unistd.h>

#include <algorithm>

#include "controller-agent/fleet/changes.h"
#include "controller-agent/fleet/check_fleet.h"
#include "controller-agent/fleet/commit_plan.h"
#include "controller-agent/fleet/items.h"
#include "controller-agent/json_text.h"
#include "fleet_reports.h"
#include "sluice/base/limits.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kAttemptMax = 10;                  // Of commits that other editors outran.
constexpr milliseconds kDeadEditor{10'000};      // A mark that stands still for so long is one's.
constexpr milliseconds kLongDead{300'000};       // And one that is so old is nobody's.
constexpr milliseconds kReplicaPatience{5'000};  // Until the winner's commit is seen here.
constexpr milliseconds kQuiet{1'000};            // Work that is shorter needs no word.

std::string editor_name() {
    char host[256] = "";
    ::gethostname(host, sizeof(host) - 1);
    return std::string(host) + ":" + std::to_string(::getpid()) + ":" +
           std::to_string(unix_now_ms());
}

/// What the document is made of: without the members that are made of it.
fleet::Items document_items(const fleet::PackedRows& rows) {
    fleet::Items items = fleet::items_of(rows);
    std::erase_if(items.objects,
                  [](const auto& at) { return at.first.table == fleet::kMemberTable; });
    // Of Global only what the document has.
    std::erase_if(items.objects, [](const auto& at) {
        return at.first.table == fleet::kGlobalTable && at.first.name != "dfw";
    });
    return items;
}

/// One `apply`.
class Commit {
public:
    Commit(Database& database, const json& document, const CommitRequest& request,
           std::ostream& progress)
        : database_(database),
          request_(request),
          progress_(progress),
          base_(document_items(fleet::packed_rows(database.tables()))),
          wanted_(fleet::items_of(document)) {}

    Outcome<json> run() {
        for (int attempt = 0; attempt < kAttemptMax; ++attempt) {
            wait_for_other();
            bool is_done = false;
            Outcome<json> result = try_once(attempt > 0, is_done);
            if (is_done || !result.ok()) { return result; }
            say(is_unknown_ ? "the connection broke before the answer, looking at what is there"
                            : "another editor was faster, looking at what it wrote");
        }
        return Failure{"state",
                       "other editors wrote each time that this document was about to be; nothing "
                       "of it is in force: apply again",
                       ""};
    }

private:
    void say(const std::string& line) { progress_ << "sluice: " << line << '\n' << std::flush; }

    /// Somebody who writes in several transactions is left to finish, unless it stands still.
    void wait_for_other() {
        const auto mark = [&] {
            const fleet::GlobalState global = fleet::global_state(database_.tables());
            const auto at = global.settings.find(fleet::kWritingKey);
            return at == global.settings.end() ? std::string() : at->second;
        };
        if (!mark().empty() && !request_.dry_run) {
            say("another editor is writing, waiting for it");
        }
        while (!mark().empty() && !request_.dry_run) {
            const std::string seen = mark();
            const auto parsed = fleet::writing_mark(fleet::global_state(database_.tables()));
            if (parsed && unix_now_ms() - parsed->at_ms > kLongDead.count()) { return; }
            if (!database_.wait_for([&] { return mark() != seen; }, kDeadEditor)) { return; }
        }
    }

    Outcome<json> try_once(bool is_again, bool& is_done) {
        const fleet::PackedRows now = fleet::packed_rows(database_.tables());
        const fleet::Items theirs = document_items(now);
        Result<fleet::Items> desired =
            is_again ? fleet::merged(base_, wanted_, theirs) : Result<fleet::Items>(wanted_);
        if (!desired) { return failure_of(desired.error()); }
        const bool is_merged = is_again && !(desired.value() == wanted_);
        std::vector<fleet::Problem> problems;
        const json document = fleet::document_of(desired.value(), problems);
        const fleet::PackedRows rows = fleet::pack(document, &now);
        if (Status checked = check(document, rows, now); !checked) {
            return failure_of(checked.error());
        }
        const auto changes = fleet::changes_of(desired.value(), theirs);
        warn_of_mass_delete(changes, theirs);
        const fleet::GlobalState global = fleet::global_state(database_.tables());
        const fleet::CommitOptions options{editor_, unix_now_ms(), request_.allow_mass_delete};
        fleet::CommitPlan plan = fleet::commit_plan(database_.tables(), rows, options);
        json result{{"changed", changes.size()},
                    {"generation", request_.dry_run ? global.generation : plan.generation},
                    {"epoch", global.epoch + (request_.allow_mass_delete ? 1 : 0)},
                    {"merged", is_merged}};
        if (plan.transactions.empty() && doubtful_ != 0) { result["changed"] = doubtful_; }
        if (request_.dry_run || plan.transactions.empty()) {
            is_done = true;
            return result;
        }
        doubtful_ = 0;
        Outcome<bool> written = write(plan, global);
        if (!written.ok()) { return written.failure(); }
        is_done = written.value();
        if (is_unknown_) { doubtful_ = changes.size(); }
        return result;
    }

    Status check(const json& document, const fleet::PackedRows& rows,
                 const fleet::PackedRows& now) {
        auto told = Clock::now();
        return fleet::check_fleet(document, rows, &now, [&](std::size_t done, std::size_t all) {
            if (Clock::now() - told < kQuiet) { return; }
            told = Clock::now();
            say("checked " + std::to_string(done) + " of " + std::to_string(all) + " hosts");
        });
    }

    void warn_of_mass_delete(const std::vector<fleet::FleetChange>& changes,
                             const fleet::Items& theirs) {
        const auto gone = static_cast<std::size_t>(
            std::count_if(changes.begin(), changes.end(), [](const fleet::FleetChange& each) {
                return each.change.op == agent::ChangeOp::kRemove;
            }));
        const std::size_t all = theirs.objects.size();
        if (request_.allow_mass_delete || gone <= kFleetGuardRows || gone * 2 <= all) { return; }
        say("warning: this takes away " + std::to_string(gone) + " of " + std::to_string(all) +
            " objects; hosts that lose more than half hold it back until apply is told "
            "--allow-mass-delete");
    }

    /// True: written; false: somebody else was faster, or nobody knows.
    Outcome<bool> write(fleet::CommitPlan& plan, const fleet::GlobalState& global) {
        const std::size_t steps = plan.transactions.size();
        auto told = Clock::now();
        is_unknown_ = false;
        for (std::size_t step = 0; step < steps; ++step) {
            ovsdb::TransactResult result = database_.transact(std::move(plan.transactions[step]));
            if (result.outcome != ovsdb::Outcome::kCommitted) { return lost(result, global); }
            if (Clock::now() - told < kQuiet || step + 1 == steps) { continue; }
            told = Clock::now();
            say("wrote " + std::to_string(step + 1) + " of " + std::to_string(steps) +
                " transactions");
        }
        return true;
    }

    Outcome<bool> lost(const ovsdb::TransactResult& result, const fleet::GlobalState& global) {
        const bool is_outrun = result.outcome == ovsdb::Outcome::kRefused &&
                               (result.refusal == "timed out" || result.refusal == "not leader");
        if (!is_outrun && result.outcome != ovsdb::Outcome::kUnknown) {
            return Failure{"io", "the database refused the commit: " + result.error, ""};
        }
        is_unknown_ = result.outcome == ovsdb::Outcome::kUnknown;
        // Until the replica has seen why; if it sees nothing, nothing was written.
        (void)database_.wait_for(
            [&] {
                const fleet::GlobalState seen = fleet::global_state(database_.tables());
                return seen.generation != global.generation || seen.settings != global.settings;
            },
            kReplicaPatience);
        return false;
    }

    Database& database_;
    const CommitRequest request_;
    std::ostream& progress_;
    const std::string editor_ = editor_name();
    const fleet::Items base_, wanted_;
    bool is_unknown_ = false;   // How the last attempt ended.
    std::size_t doubtful_ = 0;  // Changes of an attempt of which nobody knows yet.
};

}  // namespace

std::vector<ovsdb::Interest> config_interest() {
    std::vector<ovsdb::Interest> out;
    for (const fleet::Noun& noun : fleet::nouns()) {
        out.push_back({std::string(noun.table), {}, true});
    }
    for (const char* table :
         {fleet::kGlobalTable, fleet::kMemberTable, fleet::kBindingTable, fleet::kSetMemberTable}) {
        out.push_back({table, {}, true});
    }
    return out;
}

StoredDocument stored_document(const Database& database) {
    std::vector<fleet::Problem> problems;
    const fleet::Items items = document_items(fleet::packed_rows(database.tables()));
    StoredDocument out{fleet::document_of(items, problems), 0};
    out.problems = problems.size();
    return out;
}

Failure failure_of(const Error& error) {
    return {to_string(error.code), error.message, error.object};
}

Outcome<json> parse_fleet(const std::string& text) {
    Result<json> parsed = agent::parse_json(text);
    if (!parsed) { return failure_of(parsed.error()); }
    Result<json> document = fleet::normalised(std::move(parsed.value()));
    if (!document) { return failure_of(document.error()); }
    return std::move(document.value());
}

Outcome<json> commit_fleet(Database& database, const json& document, const CommitRequest& request,
                           std::ostream& progress) {
    return Commit(database, document, request, progress).run();
}

}  // namespace sluice::cli
