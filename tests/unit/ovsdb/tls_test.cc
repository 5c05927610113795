// SPDX-License-Identifier: Apache-2.0
// TLS to a real server with certificates of ovs-pki: what is good connects, what is not is told in
// a sentence.
#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>

#include "client_rig.h"
#include "real_server.h"

namespace sluice::ovsdb::test {

using nlohmann::json;

namespace {

const TestFolder* g_folder = nullptr;

// Two CAs, each with certificates of its own; made once, since keys take time.
class Pki : public testing::Environment {
public:
    void SetUp() override {
        folder_ = std::make_unique<TestFolder>();
        g_folder = folder_.get();
    }
    void TearDown() override { folder_.reset(); }

private:
    std::unique_ptr<TestFolder> folder_;
};

const auto* const kPki = testing::AddGlobalTestEnvironment(new Pki);

void must(const std::string& command) {
    if (run({"sh", "-c", command}, g_folder->path("pki.out")) != 0) {
        throw std::runtime_error(command);
    }
}

std::string pki(const std::string& ca) {
    return "ovs-pki -d " + g_folder->path(ca) + " -l " + g_folder->path("pki.log");
}

/// The folder of a CA with certificates `127.0.0.1`, `other.example`, `client` and `expired`.
std::string folder_of(const std::string& ca) {
    auto folder = g_folder->path(ca);
    if (run({"test", "-e", folder + "/expired-cert.pem"}, "/dev/null") == 0) { return folder; }
    must(pki(ca) + " init");
    for (const char* name : {"127.0.0.1", "other.example", "client"}) {
        must("cd " + folder + " && " + pki(ca) + " -u req+sign " + name + " switch");
    }
    must("cd " + folder +
         " && openssl x509 -req -in 127.0.0.1-req.pem -CA switchca/cacert.pem -CAkey "
         "switchca/private/cakey.pem -days -1 -set_serial 77 -copy_extensions copy -out "
         "expired-cert.pem && cp 127.0.0.1-privkey.pem expired-privkey.pem");
    return folder;
}

TlsFiles files(const std::string& ca, const std::string& name) {
    const auto folder = folder_of(ca);
    return {folder + "/" + name + "-privkey.pem", folder + "/" + name + "-cert.pem",
            folder + "/switchca/cacert.pem", ""};
}

}  // namespace

class OvsdbTls : public testing::Test {
protected:
    void SetUp() override {
        if (!has_ovsdb() || run({"test", "-x", "/usr/bin/ovs-pki"}, "/dev/null") != 0) {
            GTEST_SKIP() << "no ovsdb-server or ovs-pki";
        }
    }
    // A server with the certificate of that name; its port is the kernel's choice.
    void serve(const std::string& name) {
        const auto of = files("good", name);
        server_ = std::make_unique<RealServer>(
            folder_, "db",
            RealServer::Options{
                false,
                {"--remote=pssl:0:127.0.0.1", "--private-key=" + of.private_key,
                 "--certificate=" + of.certificate, "--ca-cert=" + of.ca_certificate},
                {}});
        ASSERT_TRUE(find_port(1));
    }
    // Of the listener that was opened as the n-th; the server's log tells its port.
    bool find_port(std::size_t number) {
        const std::string mark = "127.0.0.1: listening on port ";
        const auto end = std::chrono::steady_clock::now() + kDeadline;
        while (std::chrono::steady_clock::now() < end) {
            std::ifstream log(folder_.path("db.log"));
            const std::string text((std::istreambuf_iterator<char>(log)), {});
            std::size_t at = 0;
            for (std::size_t i = 0; i < number && at != std::string::npos; ++i) {
                at = text.find(mark, i == 0 ? 0 : at + 1);
            }
            if (at != std::string::npos && text.find('\n', at) != std::string::npos) {
                port_ = std::to_string(std::stoi(text.substr(at + mark.size())));
                return true;
            }
            io_.restart();
            io_.run_for(std::chrono::milliseconds(5));
        }
        return false;
    }
    std::unique_ptr<ClientRig> client(TlsFiles of, const std::string& server_name = {}) {
        ClientOptions options;
        options.tls = std::move(of);
        options.tls.server_name = server_name;
        auto rig = std::make_unique<ClientRig>(io_, "ssl:127.0.0.1:" + port_, options);
        (*rig)->set_interest({{"Thing", {"name"}, true}});
        (*rig)->start();
        return rig;
    }
    void expect_refused(TlsFiles of, const std::string& part) {
        auto rig = client(std::move(of));
        EXPECT_TRUE(rig->until_told(part)) << json(rig->reasons);
        EXPECT_EQ((*rig)->tables().size(), 0U);
    }

    TestFolder folder_;
    boost::asio::io_context io_;
    std::unique_ptr<RealServer> server_;
    std::string port_;
};

TEST_F(OvsdbTls, GoodCertificatesConnect) {
    serve("127.0.0.1");
    auto rig = client(files("good", "client"));
    ASSERT_TRUE(rig->until_live()) << json(rig->reasons);
    EXPECT_EQ(rig->transact(json::array({insert_thing("a")})).outcome, Outcome::kCommitted);
    EXPECT_EQ((*rig)->tables().at("Thing").size(), 1U);
}

TEST_F(OvsdbTls, NameOfTheServerIsChecked) {
    serve("other.example");
    auto rig = client(files("good", "client"), "other.example");
    EXPECT_TRUE(rig->until_live()) << json(rig->reasons);
    expect_refused(files("good", "client"), R"(is of "other.example", not of "127.0.0.1")");
}

TEST_F(OvsdbTls, ServerOfAnotherCaIsRefused) {
    serve("127.0.0.1");
    auto of = files("good", "client");
    of.ca_certificate = files("bad", "client").ca_certificate;
    expect_refused(of, "is not of the CA of");
}

TEST_F(OvsdbTls, ExpiredServerIsRefused) {
    serve("expired");
    expect_refused(files("good", "client"), "(127.0.0.1) has expired");
}

TEST_F(OvsdbTls, ServerThatRefusesUsIsHeard) {
    serve("127.0.0.1");
    auto of = files("bad", "client");
    of.ca_certificate = files("good", "client").ca_certificate;
    expect_refused(of, "does not know our certificate's CA");
    of = files("good", "expired");
    expect_refused(of, "our certificate has expired");
}

TEST_F(OvsdbTls, FilesAreToldByName) {
    serve("127.0.0.1");
    expect_refused({}, "needs a private key, a certificate and a CA certificate");
    auto of = files("good", "client");
    of.certificate = "/nowhere.pem";
    expect_refused(of, "certificate /nowhere.pem: ");
    of = files("good", "client");
    of.private_key = files("good", "127.0.0.1").private_key;
    expect_refused(of, "private key ");
}

TEST_F(OvsdbTls, ServerThatSpeaksNoTls) {
    serve("127.0.0.1");
    server_->control({"ovsdb-server/add-remote", "ptcp:0:127.0.0.1"});
    ASSERT_TRUE(find_port(2));
    expect_refused(files("good", "client"), "ssl:127.0.0.1:" + port_ + ": ");
}

}  // namespace sluice::ovsdb::test
