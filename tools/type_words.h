/* SPDX-License-Identifier: Apache-2.0 */
/* What the library can name, as .choices of a command line: "float32|float64|…", "sum|mean|…". */
#ifndef WEFT_TOOLS_TYPE_WORDS_H
#define WEFT_TOOLS_TYPE_WORDS_H

#include <weft/types.h>

#define WEFT_DTYPE_WORD(name, type, words) "|" words
#define WEFT_OP_WORD(name, words) "|" words
#define WEFT_DTYPE_CHOICES (&(WEFT_DTYPE_MAP(WEFT_DTYPE_WORD))[1])
#define WEFT_OP_CHOICES (&(WEFT_OP_MAP(WEFT_OP_WORD))[1])

#endif
