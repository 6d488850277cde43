/* SPDX-License-Identifier: Apache-2.0 */
/* The loops for the baseline instruction set of the build. */
#include "kernel/kernel_loops.h"
