/* SPDX-License-Identifier: Apache-2.0 */
/* See block_list.h: the names sorted, searched by halving. */
#include "block_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_SIZE = 255 };

struct block_list {
    char *text;   /* a copy; names end with a zero in it */
    char **names; /* sorted */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_name(const char *name, size_t size)
{
    if (size == 0 || size > NAME_MAX_SIZE || name[0] == '.') {
        return 0;
    }
    for (size_t i = 0; i < size; ++i) {
        const unsigned char c = (unsigned char)name[i];
        if (c <= ' ' || c > '~' || (c == '.' && name[i - 1] == '.')) {
            return 0;
        }
    }
    return 1;
}

/* Takes one line; 0: it is no name. */
static int add_line(struct block_list *list, char *line)
{
    size_t size = strlen(line);
    while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == ' ' || line[size - 1] == '\t')) {
        line[--size] = '\0';
    }
    if (size == 0 || line[0] == '#') {
        return 1;
    }
    if (size > 1 && line[size - 1] == '.') {
        line[--size] = '\0';
    }
    if (!is_name(line, size)) {
        return 0;
    }
    for (char *c = line; *c != '\0'; ++c) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c + ('a' - 'A'));
        }
    }
    list->names[list->count++] = line;
    return 1;
}

struct block_list *block_list_new(const char *text, char *error, size_t error_size)
{
    size_t lines = 1;
    for (const char *c = text; *c != '\0'; ++c) {
        lines += *c == '\n' ? 1u : 0u;
    }
    struct block_list *list = calloc(1, sizeof *list);
    if (list != NULL) {
        list->text = malloc(strlen(text) + 1);
        list->names = calloc(lines, sizeof *list->names);
    }
    if (list == NULL || list->text == NULL || list->names == NULL) {
        block_list_free(list);
        snprintf(error, error_size, "no memory for %zu names", lines);
        return NULL;
    }
    strcpy(list->text, text);
    size_t number = 0;
    for (char *line = list->text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        ++number;
        if (!add_line(list, line)) {
            snprintf(error, error_size, "line %zu: \"%.64s\" is not a DNS name", number, line);
            block_list_free(list);
            return NULL;
        }
        line = end;
    }
    qsort(list->names, list->count, sizeof *list->names, compare);
    return list;
}

void block_list_free(struct block_list *list)
{
    if (list == NULL) {
        return;
    }
    free(list->names);
    free(list->text);
    free(list);
}

size_t block_list_size(const struct block_list *list)
{
    return list->count;
}

int block_list_holds(const struct block_list *list, const char *name)
{
    while (name != NULL && *name != '\0') {
        if (bsearch(&name, list->names, list->count, sizeof *list->names, compare) != NULL) {
            return 1;
        }
        const char *dot = strchr(name, '.');
        name = dot == NULL ? NULL : dot + 1;
    }
    return 0;
}
