/* SPDX-License-Identifier: Apache-2.0 */
/* Proof that leakguard sees what Criterion lets pass: a test whose process leaks. */
#include <criterion/criterion.h>
#include <stdlib.h>

static void *volatile lost;

Test(leaky, loses_its_only_pointer)
{
    lost = malloc(31);
    lost = NULL;
    cr_assert(1);
}
