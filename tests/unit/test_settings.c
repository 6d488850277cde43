/* SPDX-License-Identifier: Apache-2.0 */
/* What options leave open, read from the environment. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "group/group.h"

static int read_one(const char *name, const char *value, weft_settings *ret)
{
    setenv(name, value, 1);
    const int rc = weft_settings_read(NULL, ret);
    unsetenv(name);
    return rc;
}

/* An option of 0 is the default; who sets a variable to 0 may mean that, no time, or no limit. */
Test(settings, a_variable_of_0_that_could_mean_several_things_is_refused)
{
    static const char *const names[] = {"WEFT_TIMEOUT_MS", "WEFT_OPEN_TIMEOUT_MS", "WEFT_SPIN_US"};
    weft_settings s;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_assert_eq(read_one(names[i], "0", &s), WEFT_EINVAL, "%s", names[i]);
        cr_assert_not_null(strstr(weft_last_error()->message, names[i]));
        cr_assert_not_null(strstr(weft_last_error()->message, "is 0: "));
        cr_assert_not_null(strstr(weft_last_error()->message, "-1 for no"));
    }
    cr_assert_eq(read_one("WEFT_DEAD_MS", "0", &s), WEFT_EINVAL);
    cr_assert_not_null(strstr(weft_last_error()->message, "WEFT_DEAD_MS"));
}

Test(settings, other_values_are_taken)
{
    weft_settings s;
    cr_assert_eq(read_one("WEFT_TIMEOUT_MS", "-1", &s), WEFT_OK);
    cr_assert_eq(s.opts.timeout_ms, WEFT_FOREVER);
    cr_assert_eq(read_one("WEFT_OPEN_TIMEOUT_MS", "1", &s), WEFT_OK);
    cr_assert_eq(s.opts.open_timeout_ms, 1);
    cr_assert_eq(read_one("WEFT_SPIN_US", "-1", &s), WEFT_OK);
    cr_assert_eq(s.opts.spin_us, -1);
    cr_assert_eq(read_one("WEFT_SEED", "0", &s), WEFT_OK);
    cr_assert_eq(s.opts.seed, 0);
    cr_assert_eq(read_one("WEFT_TIMEOUT_MS", "", &s), WEFT_OK);
    cr_assert_gt(s.opts.timeout_ms, 1000);
}
