/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Constants and minimum of the reference problem: mushrooms, 10 shards in file order, condition
 * number 100. Published values to the digits known. WEFT_DATA names the folder of the data set.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "problem_minimum.h"
#include "problem_spectrum.h"

static int wrong;

static void equals(const char *name, double got, double want, double within)
{
    const int good = fabs(got - want) <= within;

    printf("%s %.15g, %s %.15g within %g\n", name, got, good ? "as known:" : "NOT", want, within);
    wrong += !good;
}

int main(void)
{
    const char *folder = getenv("WEFT_DATA");
    char path[4096], why[512] = "";
    weft_libsvm *data = NULL;
    weft_linear *problem = NULL;
    weft_constants s = {0};
    double fstar = 0;

    if (folder == NULL)
        folder = getenv("WEFT_DATA_BESIDE");
    snprintf(path, sizeof(path), "%s/mushrooms", folder != NULL ? folder : ".");
    if (access(path, R_OK) != 0) {
        printf("skipped: no %s (WEFT_DATA names the folder)\n", path);
        return 77;
    }
    if (weft_libsvm_read(&data, path, 0, why, sizeof(why)) != 0 ||
        weft_libsvm_pair(data, path, why, sizeof(why)) != 0 ||
        weft_linear_open(&problem, &weft_loss_logistic, data, 10, WEFT_SHARDS_FILE, 1, why,
                         sizeof(why)) != 0 ||
        weft_linear_spectrum(problem, &s, why, sizeof(why)) != 0) {
        printf("%s\n", why);
        return 1;
    }
    problem->l2 = s.all / 99;
    equals("rows", (double)data->rows, 8124, 0);
    equals("used", (double)problem->cut.used, 8120, 0);
    equals("dim", (double)data->dim, 112, 0);
    equals("non-zeros", (double)data->nonzeros, 170604, 0);
    equals("l2", problem->l2, 0.02612705, 5e-9);
    equals("L", s.all + problem->l2, 2.612705, 5e-7);
    equals("Lmax", s.shard + problem->l2, 3.680390, 5e-7);
    equals("Lrow", s.row, 21 / 4.0, 0);
    if (weft_linear_minimum(problem, &fstar, NULL, why, sizeof(why)) != 0) {
        printf("%s\n", why);
        return 1;
    }
    equals("f*", fstar, 0.217159361878, 5e-13);
    weft_linear_close(&problem);
    weft_libsvm_free(&data);
    return wrong > 0;
}
