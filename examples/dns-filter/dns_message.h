/* SPDX-License-Identifier: Apache-2.0 */
/* The questions of a DNS message (RFC 1035 §4.1), read with every length checked. Pure. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#define DNS_NAME_MAX 255

enum dns_kind {
    DNS_ANSWER,    /* a response: nothing is asked */
    DNS_QUERY,     /* `name` is its question */
    DNS_MALFORMED, /* no message, or one that nobody needs to understand */
};

/* @param name  of DNS_QUERY: lower case, labels separated by dots, without the last one
 * One question a message, as resolvers send them; a name without compression. */
enum dns_kind dns_read(const uint8_t *message, size_t size, char name[DNS_NAME_MAX + 1]);

#endif
