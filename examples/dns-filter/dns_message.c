/* SPDX-License-Identifier: Apache-2.0 */
/* See dns_message.h. */
#include "dns_message.h"

enum { HEADER_SIZE = 12, LABEL_MAX = 63, QUESTION_END_SIZE = 4 };

static char lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : (char)byte;
}

/* Bytes of the name at `at`, its end included; 0: it is malformed. */
static size_t read_name(const uint8_t *at, size_t size, char name[DNS_NAME_MAX + 1])
{
    size_t read = 0;
    size_t written = 0;
    while (read < size && at[read] != 0) {
        const size_t label = at[read];
        if (label > LABEL_MAX || read + 1 + label >= size || written + label + 1 > DNS_NAME_MAX) {
            return 0; /* compressed, cut off, or too long */
        }
        if (written != 0) {
            name[written++] = '.';
        }
        for (size_t i = 0; i < label; ++i) {
            name[written++] = lower(at[read + 1 + i]);
        }
        read += 1 + label;
    }
    name[written] = '\0';
    return read < size ? read + 1 : 0;
}

enum dns_kind dns_read(const uint8_t *message, size_t size, char name[DNS_NAME_MAX + 1])
{
    name[0] = '\0';
    if (size < HEADER_SIZE) {
        return DNS_MALFORMED;
    }
    if ((message[2] & 0x80u) != 0) {
        return DNS_ANSWER;
    }
    const unsigned questions = (unsigned)message[4] << 8 | message[5];
    if (questions != 1) {
        return DNS_MALFORMED;
    }
    const size_t used = read_name(message + HEADER_SIZE, size - HEADER_SIZE, name);
    if (used == 0 || HEADER_SIZE + used + QUESTION_END_SIZE > size) {
        return DNS_MALFORMED;
    }
    return DNS_QUERY;
}
