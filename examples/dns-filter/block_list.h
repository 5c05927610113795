/* SPDX-License-Identifier: Apache-2.0 */
/* The names that are refused, and all below them: "ads.example" refuses "x.ads.example", too. Made
 * once by open(), read by all workers. */
#ifndef BLOCK_LIST_H
#define BLOCK_LIST_H

#include <stddef.h>

struct block_list;

/* @param text  a name a line; blank lines and lines that begin with # are left out
 * @return NULL, with `error` filled in, if a line is no name or memory is short */
struct block_list *block_list_new(const char *text, char *error, size_t error_size);
void block_list_free(struct block_list *list);
size_t block_list_size(const struct block_list *list);

/* @param name  lower case, without the last dot
 * @return 1 if it or a name above it is listed */
int block_list_holds(const struct block_list *list, const char *name);

#endif
