/* SPDX-License-Identifier: Apache-2.0 */
/** @file export.h Marks what the shared library exports. */
#ifndef WEFT_EXPORT_H
#define WEFT_EXPORT_H

#if defined(__GNUC__)
#define WEFT_API __attribute__((visibility("default")))
#define WEFT_CHECK __attribute__((warn_unused_result))
#else
#define WEFT_API
#define WEFT_CHECK
#endif

#endif
