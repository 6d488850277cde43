/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <string.h>

#define X(name) extern const weft_link_type weft_link_##name;
#include "link/links.def"
#undef X

static const weft_link_type *const types[] = {
#define X(name) &weft_link_##name,
#include "link/links.def"
#undef X
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

const weft_link_type *weft_link_type_at(int index)
{
    return index >= 0 && index < TYPES ? types[index] : NULL;
}

const weft_link_type *weft_link_type_for(const char *scheme)
{
    const size_t len = strlen(scheme);
    for (int i = 0; i < TYPES; i++) {
        for (const char *word = types[i]->scheme; word != NULL;) {
            const char *end = strchrnul(word, '|');
            if ((size_t)(end - word) == len && strncmp(word, scheme, len) == 0)
                return types[i];
            word = *end == '|' ? end + 1 : NULL;
        }
    }
    return NULL;
}
