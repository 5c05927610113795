// SPDX-License-Identifier: Apache-2.0
// FTP lines: what announces a data connection, and what only looks like it.
#include "iochain/dfw/alg_ftp.h"

#include <gtest/gtest.h>

#include "sluice/net/address_text.h"

namespace sluice::iochain {
namespace {

std::string client(std::string_view line) {
    const auto endpoint = ftp_endpoint(line, true);
    return endpoint ? to_string(endpoint->address) + " " + std::to_string(endpoint->port) : "-";
}
std::string server(std::string_view line) {
    const auto endpoint = ftp_endpoint(line, false);
    return endpoint ? to_string(endpoint->address) + " " + std::to_string(endpoint->port) : "-";
}

TEST(AlgFtp, ReadsPort) {
    EXPECT_EQ(client("PORT 192,0,2,10,156,64"), "192.0.2.10 40000");
    EXPECT_EQ(client("port 192,0,2,10,0,20"), "192.0.2.10 20");
    for (const char* line :
         {"PORT 192,0,2,10,156", "PORT 192,0,2,10,156,64,1", "PORT 192,0,2,256,156,64",
          "PORT 192,0,2,-1,156,64", "PORT 192.0.2.10,156,64", "PORT", "PORT ", "PORTS 1,2,3,4,5,6",
          "XPORT 1,2,3,4,5,6", "PORT 1,2,3,4,5,6 ", "PORT  1,2,3,4,5,6", "PORT 1,2,3,4,5,999"}) {
        EXPECT_EQ(client(line), "-") << line;
    }
}

TEST(AlgFtp, ReadsEprt) {
    EXPECT_EQ(client("EPRT |1|192.0.2.10|40000|"), "192.0.2.10 40000");
    EXPECT_EQ(client("eprt |2|2001:db8::1|40000|"), "2001:db8::1 40000");
    EXPECT_EQ(client("EPRT !1!192.0.2.10!40000!"), "192.0.2.10 40000");
    for (const char* line :
         {"EPRT |1|2001:db8::1|40000|", "EPRT |2|192.0.2.10|40000|", "EPRT |3|192.0.2.10|40000|",
          "EPRT |1|192.0.2.10|70000|", "EPRT |1|192.0.2.10|40000", "EPRT |1|192.0.2.10|",
          "EPRT 111192.0.2.10140000", "EPRT ", "EPRT |1|192.0.2.10|40000|x",
          "EPRT |2|1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa|40000|"}) {
        EXPECT_EQ(client(line), "-") << line;
    }
}

TEST(AlgFtp, ReadsReplies) {
    EXPECT_EQ(server("227 Entering Passive Mode (198,51,100,20,156,64)"), "198.51.100.20 40000");
    EXPECT_EQ(server("227 Entering Passive Mode (198,51,100,20,156,64)."), "198.51.100.20 40000");
    EXPECT_EQ(server("227 =198,51,100,20,156,64"), "198.51.100.20 40000");
    EXPECT_EQ(server("229 Entering Extended Passive Mode (|||40000|)"), " 40000");
    for (const char* line :
         {"227-Entering (198,51,100,20,156,64)", "227 Entering Passive Mode", "227",
          "226 (198,51,100,20,156,64)", " 227 (198,51,100,20,156,64)", "227 (198,51,100,20,156)",
          "227 (198,51,100,20,156,640)", "229 (||40000|)", "229 (|||40000|", "229 |||40000|",
          "229 (|||400000|)", "229 (|1|198.51.100.20|40000|)", "229 ("}) {
        EXPECT_EQ(server(line), "-") << line;
    }
}

TEST(AlgFtp, TakesNoSidesWordFromTheOther) {
    EXPECT_EQ(server("PORT 192,0,2,10,156,64"), "-");
    EXPECT_EQ(client("227 Entering Passive Mode (198,51,100,20,156,64)"), "-");
}

TEST(AlgFtp, KnowsThePromise) {
    EXPECT_TRUE(is_epsv_all("EPSV ALL"));
    EXPECT_TRUE(is_epsv_all("epsv all"));
    EXPECT_FALSE(is_epsv_all("EPSV"));
    EXPECT_FALSE(is_epsv_all("EPSV 1"));
    EXPECT_FALSE(is_epsv_all("EPSV ALLE"));
}

}  // namespace
}  // namespace sluice::iochain
