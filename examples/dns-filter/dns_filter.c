/* SPDX-License-Identifier: Apache-2.0 */
/* dns-filter: an in-process service of Sluice that refuses questions for listed names. Of UDP it
 * drops the packet that asks, malformed questions too. Of TCP it follows the opener's stream
 * message by message (RFC 1035 §4.2.2) and drops from the segment on that completes a refused
 * question; a segment that leaves a gap is dropped until what is missing has come. Other ports pass.
 * Built with sluice_service.h alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block_list.h"
#include "dns_message.h"
#include "sluice_service.h"

enum {
    PORT_DNS = 53,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    UDP_HEADER_SIZE = 8,
    QUESTION_MAX = 12 + DNS_NAME_MAX + 1 + 4, /* Of a message, so much is looked at. */
};

struct service {
    struct block_list *blocked;
};

/* What is kept of a TCP connection. All zero at its begin. */
struct stream {
    uint32_t next;     /* sequence number of the opener's next byte; valid if `is_synced` */
    uint8_t is_synced; /* its SYN was seen, or its first segment */
    uint8_t is_refused;
    uint8_t prefix_count; /* bytes of the length that were seen */
    uint8_t reserved;
    uint16_t length; /* of the running message */
    uint16_t seen;   /* bytes of it that were seen */
    uint8_t start[QUESTION_MAX];
};

static uint16_t be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t be32(const uint8_t *at)
{
    return (uint32_t)be16(at) << 16 | be16(at + 2);
}

static int is_refused(const struct service *service, const uint8_t *message, size_t size)
{
    char name[DNS_NAME_MAX + 1];
    switch (dns_read(message, size, name)) {
    case DNS_ANSWER:
        return 0;
    case DNS_QUERY:
        return block_list_holds(service->blocked, name);
    case DNS_MALFORMED:
        break;
    }
    return 1;
}

static int open_service(const char *config, void **out, char *error, size_t error_size)
{
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        snprintf(error, error_size, "no memory");
        return 1;
    }
    service->blocked = block_list_new(config, error, error_size);
    if (service->blocked == NULL) {
        free(service);
        return 1;
    }
    *out = service;
    return 0;
}

static void close_service(void *opened)
{
    struct service *service = opened;
    block_list_free(service->blocked);
    free(service);
}

static int decide(void *service, const struct sluice_service_key *key)
{
    (void)service;
    const int is_dns = (key->protocol == PROTOCOL_UDP || key->protocol == PROTOCOL_TCP) &&
                       key->destination_port == PORT_DNS;
    return is_dns ? SLUICE_SERVICE_INSPECT : SLUICE_SERVICE_PASS;
}

/* A message is whole, or as much of it as is looked at. */
static void end_message(const struct service *service, struct stream *stream)
{
    const size_t size = stream->seen < QUESTION_MAX ? stream->seen : QUESTION_MAX;
    stream->is_refused = (uint8_t)is_refused(service, stream->start, size);
    stream->prefix_count = 0;
    stream->length = stream->seen = 0;
}

static void take_byte(const struct service *service, struct stream *stream, uint8_t byte)
{
    if (stream->prefix_count < 2) {
        stream->length = (uint16_t)(stream->length << 8 | byte);
        ++stream->prefix_count;
        if (stream->prefix_count < 2 || stream->length != 0) {
            return;
        }
        end_message(service, stream); /* Empty: malformed. */
        return;
    }
    if (stream->seen < QUESTION_MAX) {
        stream->start[stream->seen] = byte;
    }
    if (++stream->seen == stream->length) {
        end_message(service, stream);
    }
}

static int inspect_tcp(const struct service *service, struct stream *stream,
                       const struct sluice_service_packet *packet, size_t end)
{
    const size_t at = packet->l4_offset;
    if (end < at + 20) {
        return SLUICE_SERVICE_DROP;
    }
    const uint8_t *tcp = packet->data + at;
    const size_t header = (size_t)(tcp[12] >> 4) * 4;
    if (header < 20 || end < at + header) {
        return SLUICE_SERVICE_DROP;
    }
    const uint8_t *payload = tcp + header;
    size_t size = end - at - header;
    uint32_t sequence = be32(tcp + 4);
    if ((tcp[13] & 0x02u) != 0) { /* SYN: it counts one. */
        stream->next = sequence + 1;
        stream->is_synced = 1;
        return size == 0 ? SLUICE_SERVICE_PASS : SLUICE_SERVICE_DROP;
    }
    if (size == 0) {
        return SLUICE_SERVICE_PASS;
    }
    if (!stream->is_synced) {
        stream->next = sequence;
        stream->is_synced = 1;
    }
    const uint32_t behind = stream->next - sequence;
    if (behind >= 0x80000000u) {
        return SLUICE_SERVICE_DROP; /* A gap before it. */
    }
    if (behind >= size) {
        return stream->is_refused ? SLUICE_SERVICE_DROP : SLUICE_SERVICE_PASS; /* Seen before. */
    }
    for (size_t i = behind; i < size && !stream->is_refused; ++i) {
        take_byte(service, stream, payload[i]);
    }
    if (stream->is_refused) {
        return SLUICE_SERVICE_DROP;
    }
    stream->next = sequence + (uint32_t)size;
    return SLUICE_SERVICE_PASS;
}

/* Bytes up to the end of the IP packet: a frame may be padded. 0: malformed. */
static size_t end_of_ip(const struct sluice_service_packet *packet)
{
    const size_t at = packet->l3_offset;
    if (packet->size < at + 20) {
        return 0;
    }
    const uint8_t *ip = packet->data + at;
    const size_t length = ip[0] >> 4 == 4 ? be16(ip + 2) : 40u + (size_t)be16(ip + 4);
    const size_t end = at + length;
    /* A segmentation request may be larger than the field can say. */
    return end > packet->size || end <= packet->l4_offset ? packet->size : end;
}

static int inspect(void *opened, void *state, const struct sluice_service_packet *packet)
{
    const struct service *service = opened;
    if (!packet->from_opener) {
        return SLUICE_SERVICE_PASS;
    }
    const size_t at = packet->l4_offset;
    const size_t end = end_of_ip(packet);
    if (at == 0 || end == 0) {
        return SLUICE_SERVICE_DROP; /* A later fragment: what it belongs to can't be read. */
    }
    if (packet->protocol == PROTOCOL_TCP) {
        return inspect_tcp(service, state, packet, end);
    }
    if (end < at + UDP_HEADER_SIZE) {
        return SLUICE_SERVICE_DROP;
    }
    const uint8_t *message = packet->data + at + UDP_HEADER_SIZE;
    return is_refused(service, message, end - at - UDP_HEADER_SIZE) ? SLUICE_SERVICE_DROP
                                                                    : SLUICE_SERVICE_PASS;
}

const struct sluice_service_v1 sluice_service = {
    .abi_version = SLUICE_SERVICE_ABI_VERSION,
    .struct_size = sizeof(struct sluice_service_v1),
    .name = "dns-filter",
    .version = "1.0",
    .state_size = sizeof(struct stream),
    .open = open_service,
    .close = close_service,
    .decide = decide,
    .inspect = inspect,
};
