/* SPDX-License-Identifier: Apache-2.0 */
/* The C ABI of in-process services of Sluice, version 1: a shared library NAME.so in the folder of
 * services (sluiced --service-dir) that exports one object, `sluice_service`. A service chain names
 * it as `module`. This header is all that a service is built with; plain C11, no other include of
 * Sluice.
 *
 * Life: open() and close() are called by the daemon's control side, one at a time, never on a
 * worker. decide() and inspect() are called by workers: by several at once, for different
 * connections; never by two for one connection at once. They must not block, allocate, log or call
 * the system; a call is to take some microseconds. A service that takes longer again and again is
 * left out for a while (docs/services.md). It runs in the daemon's process: a fault in it is the
 * daemon's.
 */
#ifndef SLUICE_SERVICE_H
#define SLUICE_SERVICE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_SERVICE_ABI_VERSION 1u
/* Bytes of state that a connection may have. */
#define SLUICE_SERVICE_STATE_MAX 4096u
/* Name of the exported object. */
#define SLUICE_SERVICE_SYMBOL "sluice_service"

/* What decide() and inspect() answer. Anything else counts as a fault of the service. */
enum sluice_service_verdict {
    SLUICE_SERVICE_PASS = 0, /* decide(): never ask about this connection; inspect(): it may go. */
    SLUICE_SERVICE_DROP = 1, /* decide(): all packets of it; inspect(): this packet. */
    SLUICE_SERVICE_BYPASS = 2,  /* inspect() only: it may go, and never ask about the rest. */
    SLUICE_SERVICE_INSPECT = 3, /* decide() only: ask about each packet. */
};

/* A connection, as the packet that opened it had it. */
struct sluice_service_key {
    uint8_t ip_version;        /* 4 or 6 */
    uint8_t protocol;          /* IANA */
    uint16_t source_port;      /* host order; ICMP: type << 8 | code */
    uint16_t destination_port; /* host order; ICMP: identifier */
    uint16_t reserved;
    uint8_t source_ip[16]; /* wire order; IPv4: the first four bytes, the rest zero */
    uint8_t destination_ip[16];
};

/* One packet, read only, valid during the call. It may be larger than the path's MTU (a TCP
 * segmentation request), and checksums may not be filled in yet. */
struct sluice_service_packet {
    const uint8_t* data; /* from the Ethernet header on */
    uint32_t size;       /* bytes at `data` */
    uint32_t frame_size; /* bytes of the frame; more than `size`: the rest is not shown */
    uint16_t l3_offset;  /* of the IP header */
    uint16_t l4_offset;  /* of the transport header; 0: none here (a later fragment) */
    uint8_t from_opener; /* 1: sent by who opened the connection; 0: an answer */
    uint8_t protocol;    /* IANA, behind IPv6 extension headers */
    uint8_t reserved[2];
    uint64_t now_ns; /* monotonic */
};

struct sluice_service_v1 {
    uint32_t abi_version; /* SLUICE_SERVICE_ABI_VERSION; first in every version */
    uint32_t struct_size; /* sizeof(struct sluice_service_v1) */
    const char* name;     /* as the file's, without .so */
    const char* version;  /* for people */
    uint32_t state_size;  /* bytes a connection, 0..SLUICE_SERVICE_STATE_MAX; given zeroed */
    uint32_t reserved;
    /* @param config  text of NAME.conf beside NAME.so, "" if there is none; ends with a zero
     * @param service  gets what the other calls are given
     * @param error  room for one sentence, `error_size` bytes
     * @return 0, or anything else with `error` filled in */
    int (*open)(const char* config, void** service, char* error, size_t error_size);
    void (*close)(void* service);
    /* Once a connection, before its first packet is shown. */
    int (*decide)(void* service, const struct sluice_service_key* key);
    /* @param state  `state_size` bytes of the connection, 16-byte aligned; NULL if that is 0 */
    int (*inspect)(void* service, void* state, const struct sluice_service_packet* packet);
};

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_SERVICE_H */
